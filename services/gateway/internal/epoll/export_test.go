package epoll

// Always makes loops busy with and without events.
func (c *Config) Always() { c.busyFrom = -1 }
