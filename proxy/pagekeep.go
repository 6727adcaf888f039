package proxy

import (
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gracegate/gracegate/policy"
)

// maxPages bounds the pages that are kept: one for each decision and form, so more than most policies have in use.
const maxPages = 1024

// pages keeps what is the same in all refusals that rest on the same, and knows the template that they are made by.
type pages struct {
	template atomic.Pointer[Page]
	kept     atomic.Pointer[keptPages]
}

// keptPages are those of one policy and one template: with either, all of them go, and the old policy with them.
type keptPages struct {
	policy   *policy.Policy
	template *Page
	list     *lru.Cache[pageKey, *page]
}

// pageKey tells pages apart. A decision has in it all that its page tells: its cause, since when, under which policy.
type pageKey struct {
	decision policy.Decision
	html     bool
}

func newPages(template *Page) *pages {
	p := &pages{}
	p.replace(template)
	return p
}

// replace has pages made by another template from now on; nil is the built-in one.
func (p *pages) replace(template *Page) {
	if template == nil {
		template = builtinPage
	}
	p.template.Store(template)
}

// of returns the pages of a policy under the template in use.
func (p *pages) of(in *policy.Policy) *keptPages {
	template := p.template.Load()
	if k := p.kept.Load(); k != nil && k.policy == in && k.template == template {
		return k
	}
	list, err := lru.New[pageKey, *page](maxPages)
	if err != nil {
		panic(err) // only for a size below 1
	}
	k := &keptPages{policy: in, template: template, list: list}
	p.kept.Store(k)
	return k
}

// SetPage has refusals from now on made by another template; nil is the built-in one. It may be called at any time.
func (s *Server) SetPage(p *Page) { s.refusals.pages.replace(p) }
