package report

import "fmt"

// notes are what a reader must know to take the figures for no more than they are.
func (g *gatherer) notes(r *Report) []string {
	list := []string{
		"This report tells what this gateway decided under its operator's policy, which is modelled on the texts named here. It is no statement of compliance, and says nothing of what the law asks of anybody.",
		"A flow is a request, or a tunnel. It counts once, when it is refused or over, in the hour of policy time in which it was last decided. One that is still open does not count yet.",
		"A flow to an endpoint that serves several channels counts once, under all of them: what is inside of a tunnel is not known.",
		"A device is a MAC address where that is known, else a client address, with the user where there is one. An address may have been given to several devices in turn, and one device may have had several.",
		"Sites are those of the time of the record; persons are those of the policy as it is now.",
		"Traffic about which no restriction, rule or waiver has a say is in the record only where audit.ungoverned is set. What passed by another way than this gateway is not in it at all.",
	}
	if n := g.relays(); n > 0 {
		list = append(list, fmt.Sprintf("%s for other devices, which do not show in the record: they are unknown, and so is how many they are.", plural(int64(n), "client is a relay and fetches", "clients are relays and fetch")))
	}
	if g.differs > 0 {
		list = append(list, fmt.Sprintf("%s decided then otherwise than the policy as it is now would have: policy or catalogue have changed since, or what the decision rested on is not all in the record. What was recorded is what is counted; the texts of such flows are given only by their restriction.", plural(g.differs, "flow was", "flows were")))
	}
	if c := r.Recorded; c != nil && c.Since.After(r.Period.Since) {
		list = append(list, fmt.Sprintf("The record begins in the hour of %s UTC. Of what was before that in the period this report knows nothing: the gateway may not have run, or its records may not be kept for so long.", exactly(c.Since, "")))
	}
	if r.Period.Widened() {
		list = append(list, fmt.Sprintf("The record is summed up by whole hours of UTC. The report was asked for %s to %s and covers the hours in which these lie.", second(r.Period.AskedSince), second(r.Period.AskedUntil)))
	}
	if r.uncounted > 0 {
		list = append(list, fmt.Sprintf("%s written just before this report, and not counted in it yet.", plural(r.uncounted, "record was", "records were")))
	}
	if i := r.Integrity; i != nil && i.Lost > 0 {
		list = append(list, fmt.Sprintf("%s known to be lost: not written for want of room or of a working disk.", plural(i.Lost, "record is", "records are")))
	}
	return append(list, "What stops next is what the policy as it is now says of flows that were seen in the period, were they to come again. Devices that were not seen may be hit too.")
}

func (g *gatherer) relays() int {
	n := 0
	for _, d := range g.devices {
		if g.tellDevice(d).Relay {
			n++
		}
	}
	return n
}
