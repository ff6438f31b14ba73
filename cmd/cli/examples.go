package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// exampleOf is what the help shows of commands that need no example longer than
// a line or two.
func exampleOf(path string) string {
	switch path {
	case "mycompose build":
		return "  mycompose build                   all that have a build section\n  mycompose build --no-cache web    web anew, nothing from the cache"
	case "mycompose image":
		return "  mycompose image ls                what is there, and its size\n  mycompose image prune             what no container uses and has no name"
	case "mycompose image ls":
		return "  mycompose image ls\n  mycompose image ls --format json"
	case "mycompose image rm":
		return "  mycompose image rm redis:alpine"
	case "mycompose image import":
		return "  tar -C rootfs -cf root.tar . && mycompose image import root.tar mybase"
	case "mycompose image load":
		return "  docker save redis:alpine | mycompose image load\n  mycompose image load -i archive.tar.gz"
	case "mycompose images":
		return "  mycompose images\n  mycompose images --format json web"
	case "mycompose info":
		return "  mycompose info                    settings and where each came from"
	case "mycompose ls":
		return "  mycompose ls\n  mycompose ls -a --format json"
	case "mycompose network":
		return "  mycompose network ls\n  mycompose network create shared   for projects that name it external\n  mycompose network connect shared shop-web-1"
	case "mycompose network ls":
		return "  mycompose network ls\n  mycompose -p shop network ls -q"
	case "mycompose network inspect":
		return "  mycompose network inspect shop_default"
	case "mycompose network rm":
		return "  mycompose network rm shared"
	case "mycompose network prune":
		return "  mycompose network prune -f"
	case "mycompose network create":
		return "  mycompose network create shared\n  mycompose network create --subnet 10.42.0.0/24 shared"
	case "mycompose network connect":
		return "  mycompose network connect shared shop-web-1"
	case "mycompose network disconnect":
		return "  mycompose network disconnect shared shop-web-1"
	case "mycompose pause":
		return "  mycompose pause web"
	case "mycompose unpause":
		return "  mycompose unpause web"
	case "mycompose pull":
		return "  mycompose pull                    images of all services\n  mycompose pull --ignore-buildable"
	case "mycompose restart":
		return "  mycompose restart                 all, in the order of depends_on\n  mycompose restart --no-deps web"
	case "mycompose rm":
		return "  mycompose rm -f                   those that have stopped\n  mycompose rm -sf web              stop it first"
	case "mycompose start":
		return "  mycompose start\n  mycompose start --wait web"
	case "mycompose stop":
		return "  mycompose stop\n  mycompose stop -t 3 web           SIGKILL after three seconds"
	case "mycompose system":
		return "  mycompose system status           keeper, daemon, systemd unit\n  mycompose system enable --now     containers start when the machine does"
	case "mycompose system stop":
		return "  mycompose system stop --all       containers too\n  mycompose system stop --keep      they run on"
	case "mycompose system prune":
		return "  mycompose system prune -f         what `info` names as damaged"
	case "mycompose system enable":
		return "  mycompose system enable --now"
	case "mycompose system disable":
		return "  mycompose system disable"
	case "mycompose system status":
		return "  mycompose system status"
	case "mycompose top":
		return "  mycompose top web"
	case "mycompose version":
		return "  mycompose version --short"
	case "mycompose volume":
		return "  mycompose volume ls\n  mycompose volume inspect shop_data   with the folder that holds its data"
	case "mycompose volume ls":
		return "  mycompose volume ls\n  mycompose -p shop volume ls -q"
	case "mycompose volume rm":
		return "  mycompose volume rm shop_data"
	case "mycompose volume create":
		return "  mycompose volume create shared\n  mycompose volume create -o type=none -o o=bind -o device=/srv/media media"
	case "mycompose volume prune":
		return "  mycompose volume prune            asks first\n  mycompose -p shop volume prune -a -f"
	case "mycompose volume inspect":
		return "  mycompose volume inspect shop_data"
	case "mycompose volumes":
		return "  mycompose volumes\n  mycompose volumes --format json"
	}
	return ""
}

// addExamples gives the commands below one their examples, and a line of usage
// without cobra's own word for flags.
func addExamples(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = strings.Contains(cmd.Use, "[OPTIONS]") // which says it
	if cmd.Example == "" {
		cmd.Example = exampleOf(cmd.CommandPath())
	}
	for _, sub := range cmd.Commands() {
		addExamples(sub)
	}
}
