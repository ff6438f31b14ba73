package load

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manyServices writes a project; realistic services have most usual keys.
func manyServices(b *testing.B, count int, realistic bool) Options {
	b.Helper()
	var text strings.Builder
	text.WriteString("services:\n")
	for i := range count {
		fmt.Fprintf(&text, "  s%02d:\n    image: busybox:${TAG:-latest}\n", i)
		if realistic {
			fmt.Fprintf(&text, `    command: [sh, -c, "sleep 1000"]
    environment: {A: "1", B: two, C: "${TAG:-x}", D: d, E: e}
    ports: ["%d:80", "127.0.0.1:%d:90"]
    volumes: ["data:/data", "./src:/src:ro"]
    networks: [front, back]
    labels: {one: "1", two: "2"}
    restart: unless-stopped
    healthcheck: {test: [CMD, "true"], interval: 10s, retries: 3}
    deploy: {resources: {limits: {cpus: "0.5", memory: 64M}}}
    logging: {driver: json-file, options: {max-size: 10m}}
`, 10000+i, 20000+i)
			if i > 0 {
				fmt.Fprintf(&text, "    depends_on: {s%02d: {condition: service_healthy}}\n", i-1)
			}
		}
	}
	if realistic {
		text.WriteString("networks: {front: {}, back: {}}\nvolumes: {data: {}}\n")
	}
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text.String()), 0o644); err != nil {
		b.Fatal(err)
	}
	return Options{Dir: dir, Env: map[string]string{"TAG": "1"}}
}

func benchmarkLoad(b *testing.B, realistic bool) {
	opts := manyServices(b, 50, realistic)
	for b.Loop() {
		if _, err := Load(context.Background(), opts); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad50Plain(b *testing.B)     { benchmarkLoad(b, false) }
func BenchmarkLoad50Realistic(b *testing.B) { benchmarkLoad(b, true) }

func BenchmarkUnchanged50Realistic(b *testing.B) {
	opts := manyServices(b, 50, true)
	r, err := Load(context.Background(), opts)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !r.Inputs.Unchanged(opts) {
			b.Fatal("changed")
		}
	}
}
