package model

import "strconv"

// Attachment joins a service to a network.
type Attachment struct {
	// Network is a key of Project.Networks.
	Network string `json:"network"`
	// Aliases are further names on that network, beside service and container.
	Aliases []string `json:"aliases,omitempty"`
	// NoServiceName keeps the service's own name off that network.
	NoServiceName bool `json:"no_service_name,omitempty"`
	// IPv4, IPv6 and MAC are fixed addresses; then Scale is at most 1.
	IPv4 string `json:"ipv4,omitempty"`
	IPv6 string `json:"ipv6,omitempty"`
	MAC  string `json:"mac,omitempty"`
	// InterfaceName is the link's name in the container; "" is the next ethN.
	InterfaceName string `json:"interface_name,omitempty"`
	// LinkLocal are further addresses of the link, 169.254.0.0/16 or fe80::/64.
	LinkLocal []string `json:"link_local,omitempty"`
	// Priority orders the links, the highest first; GatewayPriority chooses
	// the default route.
	Priority        int `json:"priority,omitempty"`
	GatewayPriority int `json:"gateway_priority,omitempty"`
}

// Port publishes one port of the container on the host.
type Port struct {
	// HostIP is "" for the default host address of the settings.
	HostIP string `json:"host_ip,omitempty"`
	// Published is the host port, zero for any free one. PublishedEnd is greater
	// only for a range of which each replica takes a free one.
	Published    uint16 `json:"published,omitempty"`
	PublishedEnd uint16 `json:"published_end,omitempty"`
	Target       uint16 `json:"target"`
	// Protocol is tcp or udp.
	Protocol string `json:"protocol"`
	// Name, AppProtocol and Mode (ingress, host) only document.
	Name        string `json:"name,omitempty"`
	AppProtocol string `json:"app_protocol,omitempty"`
	Mode        string `json:"mode,omitempty"`
}

// String is the short form, for example 127.0.0.1:8080:80/tcp.
func (p Port) String() string {
	host := ""
	if p.HostIP != "" {
		host = p.HostIP + ":"
	}
	if p.Published != 0 {
		host += strconv.Itoa(int(p.Published))
		if p.PublishedEnd > p.Published {
			host += "-" + strconv.Itoa(int(p.PublishedEnd))
		}
		host += ":"
	} else if host != "" {
		host += ":"
	}
	return host + strconv.Itoa(int(p.Target)) + "/" + p.Protocol
}

// ExposedPort documents a port that the container listens on.
type ExposedPort struct {
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"`
}

// ExtraHost is one line of /etc/hosts.
type ExtraHost struct {
	Name string `json:"name"`
	// Address is an IP address or host-gateway.
	Address string `json:"address"`
}
