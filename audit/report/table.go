package report

import (
	"strconv"
	"strings"
)

// maxRows is how many rows a table for people has. Programs get all of them, as JSON and CSV.
const maxRows = 2000

// section is a part of the report as plain words, for the forms that are text.
type section struct {
	title   string
	lines   []string // before the table
	head    []string
	numbers map[int]bool // the columns that are aligned to the right
	rows    [][]string
	none    string // what is said of no row
}

// left says how many rows there are beyond n.
func left(all, n int) string {
	if all <= n {
		return ""
	}
	return "These are " + count(int64(n)) + " of " + count(int64(all)) + " rows. --format json and --format csv have them all."
}

func columns(list ...int) map[int]bool {
	set := map[int]bool{}
	for _, c := range list {
		set[c] = true
	}
	return set
}

// sections are the report as text, without its head.
func (r *Report) sections() []section {
	return []section{
		r.figureSection(), r.mostSection(), r.trendSection(), r.passedSection(), r.aheadSection(), r.waiverSection(), r.outcomeSection(), r.noteSection(), r.attemptSection(),
	}
}

func (r *Report) headLines() [][2]string {
	lines := [][2]string{}
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, [2]string{name, value})
		}
	}
	add("operator", strings.Join(notEmpty(r.Operator.Name, r.Operator.Contact, r.Operator.URL), ", "))
	add("gateway", r.Gateway)
	add("period", r.PeriodLine())
	add("narrowed to", r.Filter())
	add("made at", second(r.MadeAt))
	add("made by", r.Software)
	add("policy", r.PolicyLine())
	add("catalogue", r.Policy.Catalogue)
	for i := range r.Restrictions {
		add("modelled on", r.Restrictions[i].Line())
	}
	add("record", r.Integrity.Line())
	add("recorded", r.Recorded.Line())
	add("clock", r.SimulatedClock())
	return lines
}

func notEmpty(list ...string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (r *Report) figureSection() section {
	s := section{title: "Summary", head: []string{"Number", "What", ""}, numbers: columns(0), lines: notEmpty(r.Nothing())}
	for _, f := range r.Figures() {
		s.rows = append(s.rows, []string{f.Value, f.Name, f.More})
	}
	return s
}

func (r *Report) attemptSection() section {
	s := section{
		title:   "Who still tries",
		head:    []string{"Device", "Where", "Asks for", "First seen (UTC)", "Last seen (UTC)", "Attempts", "By state", "Blocked since", "Trend", "Waivers", "Hosts"},
		numbers: columns(5), none: "Nobody asked for what ended or will end.",
	}
	for i := range r.Attempts[:min(len(r.Attempts), maxRows)] {
		a := &r.Attempts[i]
		since := ""
		if a.BlockedSince != nil {
			since = a.BlockedSince.String()
		}
		s.rows = append(s.rows, []string{
			a.Device.Name, strings.Join(a.Device.Where(), "; "), asked(a.Vendor, a.Channels), bare(a.First), bare(a.Last), count(a.Flows), a.StateList(),
			since, a.Trend, strings.Join(a.Waivers, ", "), a.hostList(3),
		})
	}
	if more := left(len(r.Attempts), maxRows); more != "" {
		s.lines = append(s.lines, more)
	}
	return s
}

// ByDevice are the first attempts, those of one device together.
func (r *Report) ByDevice() [][]Attempt {
	var list [][]Attempt
	for i := range r.Attempts[:min(len(r.Attempts), maxRows)] {
		a := r.Attempts[i]
		if n := len(list); n > 0 && list[n-1][0].device == a.device {
			list[n-1] = append(list[n-1], a)
		} else {
			list = append(list, []Attempt{a})
		}
	}
	return list
}

func (r *Report) trendSection() section {
	s := section{
		title: "Trend", head: []string{"From (UTC)", "Blocked", "Passed in grace", "Waived", "Monitored"}, numbers: columns(1, 2, 3, 4),
		none: "None of these flows were seen.",
	}
	for i := range r.Trend.Deadlines {
		s.lines = append(s.lines, "deadline "+r.Trend.Deadlines[i].Line())
	}
	busy := r.Trend.Busy()
	if quiet := r.Trend.Quiet(); quiet != "" && len(busy) > 0 {
		s.lines = append(s.lines, quiet)
	}
	for i := range busy {
		b := &busy[i]
		s.rows = append(s.rows, []string{exactly(b.From, ""), count(b.Blocked), count(b.Grace), count(b.Waived), count(b.Monitored)})
	}
	return s
}

func (r *Report) passedSection() section {
	s := section{
		title: "What passed in grace, and under which text",
		head:  []string{"Text", "Phase", "What", "Flows", "Cut at its end", "Devices", "To clients", "First (UTC)", "Last (UTC)"}, numbers: columns(3, 4, 5, 6),
		none: "Nothing passed in a grace period.",
	}
	for i := range r.Passed {
		p := &r.Passed[i]
		first, last := "", ""
		if p.First != nil {
			first, last = bare(*p.First), bare(*p.Last)
		}
		phase := strings.Join(append([]string{p.Phase()}, p.Assumptions()...), "; ")
		s.rows = append(s.rows, []string{
			p.Text(), phase, asked(p.Vendor, p.Channels), count(p.Flows), count(p.Cut), count(p.Devices), size(p.BytesOut), first, last,
		})
	}
	return s
}

func (r *Report) aheadSection() section {
	s := section{
		title: "What stops next, and whom it will hit", head: []string{"From", "Blocked by", "What", "State now", "Flows seen", "Devices", "Which"},
		numbers: columns(4, 5), none: "Nothing that was seen and passes now is to be blocked.",
	}
	for i := range r.Ahead {
		a := &r.Ahead[i]
		from := a.Instant.String()
		if a.Instant.Assumed != "" {
			from += "; assumed: " + a.Instant.Assumed
		}
		s.rows = append(s.rows, []string{
			from, a.By.String(), asked(a.Vendor, a.Channels), a.StateNow(), count(a.Flows), strconv.Itoa(len(a.Devices)), a.deviceList(12),
		})
	}
	return s
}

// StateNow is the state that ends, and what brings it about.
func (s *Stop) StateNow() string {
	if s.NowBy == s.By || s.NowBy.Kind == "" {
		return s.Now
	}
	return s.Now + " (" + s.NowBy.String() + ")"
}

// Some are the first devices that it hits.
func (s *Stop) Some(n int) []Device { return s.Devices[:min(n, len(s.Devices))] }

// Further tells how many there are beside the first n.
func (s *Stop) Further(n int) string {
	if more := len(s.Devices) - n; more > 0 {
		return "and " + count(int64(more)) + " more"
	}
	return ""
}

func (s *Stop) deviceList(n int) string {
	names := []string{}
	for _, d := range s.Some(n) {
		names = append(names, d.Known())
	}
	return strings.Join(notEmpty(strings.Join(names, ", "), s.Further(n)), " ")
}

func (r *Report) waiverSection() section {
	s := section{
		title: "Waivers", head: []string{"Waiver", "Owner", "Reason", "Ends", "Flows", "Devices", "Last use (UTC)"}, numbers: columns(4, 5),
		none: "No waiver was used.",
	}
	for i := range r.Waivers {
		w := &r.Waivers[i]
		last, reason := "not used", w.Reason
		if w.Last != nil {
			last = bare(*w.Last)
		}
		if !w.Known {
			reason = "no longer in the policy"
		}
		s.rows = append(s.rows, []string{w.ID, w.Owner, reason, w.Until.String(), count(w.Flows), count(w.Devices), last})
	}
	return s
}

func (r *Report) outcomeSection() section {
	s := section{
		title: "All flows, by what came of them", head: []string{"Verdict", "State", "Decided by", "Flows", "Devices"}, numbers: columns(3, 4),
		none: "The record has nothing for this period.",
	}
	for _, o := range r.Outcomes {
		s.rows = append(s.rows, []string{o.Verdict, o.State, o.By.String(), count(o.Flows), count(o.Devices)})
	}
	return s
}

func (r *Report) noteSection() section {
	return section{title: "What this report does not tell", lines: r.Notes}
}

// bare is second for a column whose head says UTC.
func bare(at interface{ Format(string) string }) string { return at.Format("2006-01-02 15:04:05") }
