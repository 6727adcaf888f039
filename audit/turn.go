package audit

// appendTurn appends the line of a turn of the policy clock, like appendFlow that of a flow.
func (e Encoder) appendTurn(to line, r *Record) line {
	l := append(to, `{"log.level":"info"`...)
	l.instant("@timestamp", r.Time)
	l.text("message", "clock "+r.Turn.What+": "+r.Turn.Why)
	l = append(l, e.always...)
	l = append(l, `,"ecs.version":"`+ecsVersion+`","event.dataset":"`+clockDataset+`","event.kind":"event"`...)
	if r.Numbered {
		l.count("event.sequence", int64(r.Sequence)) //nolint:gosec // nobody has written 2^63 records
	}
	l = append(l, `,"event.category":["configuration"],"event.type":["change"]`...)
	l.text("event.action", r.Turn.What)
	l.number("gracegate.lost_before", int64(r.Lost)) //nolint:gosec // a count
	l.text("user.name", r.User)
	l.instant("gracegate.policy_time", r.PolicyTime)
	l.instant("gracegate.policy_time_before", r.Turn.Before)
	l.text("gracegate.clock_state", r.Clock.String())
	l.text("gracegate.clock_reason", r.Turn.Why)
	return append(l, '}', '\n')
}
