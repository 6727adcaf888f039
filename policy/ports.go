package policy

import "slices"

// PortAllowed tells whether an endpoint of the catalogue, or of the operator, lists the port. 80 and 443 always are.
func (p *Policy) PortAllowed(port uint16) bool {
	if port == 80 || port == 443 {
		return true
	}
	_, found := slices.BinarySearch(p.ports, port)
	return found
}

// listPorts collects the ports that endpoints list.
func (t *endpointTable) listPorts() []uint16 {
	var ports []uint16
	for _, e := range t.list {
		for _, r := range e.Ports {
			for port := r.First; ; port++ {
				ports = append(ports, port)
				if port >= r.Last { // also where one more would be 0
					break
				}
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}
