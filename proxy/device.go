package proxy

// device is what a client is: it stays the same for a connection.
type device struct {
	known         bool // it was asked for
	mac, hostname string
}

// recognise finds out which device a flow is of, unless that is known of its connection.
func (s *Server) recognise(f *flow) {
	if f.device.known || s.cfg.Devices == nil {
		return
	}
	f.device.known = true
	f.device.mac, f.device.hostname = s.cfg.Devices.Lookup(f.client.Addr())
}
