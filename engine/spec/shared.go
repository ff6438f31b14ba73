package spec

// SharedNetworkName is the network of `network_mode: bridge`, which all projects
// share and none owns.
const SharedNetworkName = "bridge"

// labelShared marks it as made for that mode: a user may have made one by hand.
const labelShared = "mycompose.shared"

// SharedNetwork is made for the first container on it and goes with the last.
func SharedNetwork() Network {
	return Network{Name: SharedNetworkName, Driver: DriverBridge, Labels: map[string]string{labelShared: "true"}}
}

// GoesWithLast reports whether the network ends with its last container.
func (n Network) GoesWithLast() bool { return n.Labels[labelShared] == "true" }
