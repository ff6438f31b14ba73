package cli

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/engine/spec"
)

func portCommand(s *session) *cobra.Command {
	var index int
	var protocol string
	cmd := &cobra.Command{
		Use: "port [OPTIONS] SERVICE PRIVATE_PORT", Short: "Show where a port of a container is published on this machine",
		Example: `  mycompose port web 80            0.0.0.0:8080
  mycompose port --protocol udp dns 53`,
		Annotations: canDryRun(), Args: cobra.ExactArgs(2), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.ParseUint(args[1], 10, 16)
			if err != nil || number == 0 {
				return fmt.Errorf("invalid port %q: a number from 1 to 65535", args[1])
			}
			switch protocol {
			case "tcp", "udp":
			default:
				return fmt.Errorf("invalid value for --protocol: %q: tcp or udp", protocol)
			}
			target, err := s.target(cmd, args[0], index)
			if err != nil {
				return err
			}
			return s.showPort(target, uint16(number), protocol)
		},
	}
	cmd.Flags().IntVar(&index, "index", 0, "Number of the replica; the first by default")
	cmd.Flags().StringVar(&protocol, "protocol", "tcp", "tcp or udp")
	return cmd
}

// target is the running container of a service that a command means.
func (s *session) target(cmd *cobra.Command, service string, index int) (spec.Container, error) {
	p, err := s.known(cmd.Context())
	if err != nil {
		return spec.Container{}, err
	}
	c, err := s.dial(cmd.Context())
	if err != nil {
		return spec.Container{}, err
	}
	containers, err := c.ServiceContainers(cmd.Context(), p.name, service)
	if err != nil {
		return spec.Container{}, err
	}
	return p.pick(containers, service, index)
}

// showPort prints each address that a port is published at.
func (s *session) showPort(c spec.Container, number uint16, protocol string) error {
	found := false
	var all []string
	for _, p := range c.Status.Ports {
		all = append(all, fmt.Sprintf("%d/%s", p.ContainerPort, cmp.Or(p.Protocol, "tcp")))
		if p.ContainerPort != number || cmp.Or(p.Protocol, "tcp") != protocol {
			continue
		}
		found = true
		s.screen.Println(net.JoinHostPort(cmp.Or(p.HostIP, "0.0.0.0"), strconv.Itoa(int(p.HostPort))))
	}
	if found {
		return nil
	}
	text := fmt.Sprintf("no port %d/%s for container %s", number, protocol, c.Blueprint.Name)
	if all = append(all, c.Status.ExposedPorts...); len(all) > 0 {
		text += ": " + strings.Join(all, ", ")
	}
	return spec.Errorf(spec.ErrNotFound, "%s", text)
}
