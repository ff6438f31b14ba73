package spec

// BlockIO is a container's share of block devices and what bounds its use of them. Its
// JSON has the words of the compose file, in which a plan names a change.
type BlockIO struct {
	// Weight is its share against others', 10 to 1000; zero is the kernel's 100.
	Weight  int64         `json:"weight,omitempty"`
	Devices []BlockDevice `json:"devices,omitempty"`
}

// BlockDevice is what counts for one device. Zero is "no limit", and no weight of its
// own.
type BlockDevice struct {
	Path   string `json:"path"`             // of the node of a whole device
	Weight int64  `json:"weight,omitempty"` // 10 to 1000
	// Bytes and operations per second.
	ReadBPS   int64 `json:"device_read_bps,omitempty"`
	WriteBPS  int64 `json:"device_write_bps,omitempty"`
	ReadIOPS  int64 `json:"device_read_iops,omitempty"`
	WriteIOPS int64 `json:"device_write_iops,omitempty"`
}
