package model

// BlockIO is a replica's share of disks and what bounds its use of them, from
// blkio_config.
type BlockIO struct {
	// Weight is its share against others', 10 to 1000; zero is the kernel's 100.
	Weight int64 `json:"weight,omitempty"`
	// Devices are sorted by path.
	Devices []BlockDevice `json:"devices,omitempty"`
}

// BlockDevice is what counts for one device. Zero is "no limit", and no weight of its
// own.
type BlockDevice struct {
	Path   string `json:"path"`
	Weight int64  `json:"weight,omitempty"` // 10 to 1000
	// ReadBPS and WriteBPS are bytes per second, ReadIOPS and WriteIOPS operations per
	// second.
	ReadBPS   int64 `json:"device_read_bps,omitempty"`
	WriteBPS  int64 `json:"device_write_bps,omitempty"`
	ReadIOPS  int64 `json:"device_read_iops,omitempty"`
	WriteIOPS int64 `json:"device_write_iops,omitempty"`
}
