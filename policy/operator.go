package policy

import (
	"net/netip"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// Operator is the operator's policy file.
type Operator struct {
	Sites        []Site
	DefaultSite  Site
	Persons      []Person
	Restrictions []Listing
	Vendors      []Vendor
	Rules        []Rule
	Waivers      []Waiver
	Settings     Settings
	Pos          Pos
}

// Site is a set of client networks and the jurisdictions that bind them. The most specific network wins. A relay fetches for
// the sites that it serves, and is bound by the union of them all.
type Site struct {
	Name          string
	Networks      []netip.Prefix
	Jurisdictions []string
	Relay         bool
	Serves        []string
	Pos           Pos
}

// Clients picks clients by network, user or device. MACs are canonical: lower case, colons.
type Clients struct {
	Networks []netip.Prefix
	MACs     []string
	Users    []string
}

// Empty tells that nothing is picked.
func (c *Clients) Empty() bool { return len(c.Networks)+len(c.MACs)+len(c.Users) == 0 }

// Person is a set of users and devices that a jurisdiction binds wherever they are.
type Person struct {
	Name          string
	Clients       Clients
	Jurisdictions []string
	Pos           Pos
}

// Listing is what the operator does with one restriction.
type Listing struct {
	ID   string
	Mode Mode
	Pos  Pos
}

// Target picks traffic: a vendor's channels (none named: all), or names as they stand.
type Target struct {
	Vendor       string
	Channels     ChannelSet // 0: all of the vendor's
	Hosts, Zones []host.Name
}

// Rule is the operator's own dated phases. Only its block is decisive.
type Rule struct {
	ID     string
	Target Target
	Sites  []string // none: every site
	Reason string
	Final  bool // above waivers and never-block
	Phases []Phase
	Pos    Pos
}

// Waiver is the operator's exception, in [From, Until). A nil From reaches back without bound.
type Waiver struct {
	ID      string
	Clients Clients // none: every client of Sites
	Sites   []string
	Target  Target
	From    *Instant
	Until   Instant
	Owner   string
	Reason  string
	Pos     Pos
}

// Settings are the policy-wide choices. Use DefaultSettings as the start.
type Settings struct {
	Mode       Mode          // for restrictions that are not listed
	Default    Verdict       // for traffic that no endpoint matches
	AllOf      bool          // multi-channel: all. An endpoint is blocked only if each of its channels is
	AfterFloor Verdict       // warn is Allow
	BlockPage  bool          // a block by name becomes a need for the request
	WarnBefore time.Duration // the last part of a grace period that is state warn
	Unseen     UnseenSettings
}

// UnseenSettings decide about what stayed unseen.
type UnseenSettings struct {
	Address, NoSNI, NotTLS, ECH, Mismatch, Unreadable, Request Verdict
}

// DefaultSettings are those of a policy file that says nothing: monitor, allow, and refuse only a hello that cannot be read.
func DefaultSettings() Settings {
	return Settings{
		Mode: Monitor, Default: Allow, AfterFloor: Allow, WarnBefore: 30 * 24 * time.Hour,
		Unseen: UnseenSettings{
			Address: Allow, NoSNI: Allow, NotTLS: Allow, ECH: Allow, Mismatch: Allow, Unreadable: Block, Request: Allow,
		},
	}
}
