package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// project writes a compose file into a folder of that name and returns the
// folder.
func (b *bench) project(name, file string) (string, error) {
	dir := filepath.Join(b.work, "projects", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(file), 0o644)
}

// plain is n services that sleep and obey SIGTERM.
func plain(n int) string {
	var file strings.Builder
	file.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&file, "  s%02d:\n    image: busybox\n    init: true\n    command: sleep 100000\n    environment: {NUMBER: \"%d\"}\n", i, i)
	}
	return file.String()
}

// realistic is n services as files in the field have them: environment,
// labels, limits, a probe, volumes, two networks, dependencies.
func realistic(n int) string {
	var file strings.Builder
	file.WriteString("x-common: &common\n  image: busybox\n  init: true\n  command: [\"sleep\", \"100000\"]\n  restart: unless-stopped\n" +
		"  logging: {driver: json-file, options: {max-size: 10m, max-file: \"3\"}}\nservices:\n")
	for i := range n {
		fmt.Fprintf(&file, `  app%02d:
    <<: *common
    hostname: app%02d
    working_dir: /tmp
    environment:
      NUMBER: "%d"
      DATABASE_URL: postgres://user:${PASSWORD:-secret}@db:5432/app%d
      REDIS_URL: redis://redis:6379/%d
      LOG_LEVEL: ${LOG_LEVEL:-info}
      FEATURES: "a,b,c"
    env_file: [common.env]
    labels: {com.example.team: "team%d", com.example.tier: backend}
    networks: {front: {aliases: [web%d]}, back: }
    volumes: ["data%d:/data", "./conf:/etc/app:ro"]
    healthcheck: {test: ["CMD", "true"], interval: 1m, timeout: 3s, retries: 3}
    deploy: {resources: {limits: {memory: 128M}}}
`, i, i, i, i, i%16, i%5, i, i%10)
		if i >= 10 {
			fmt.Fprintf(&file, "    depends_on: {app%02d: {condition: service_started}}\n", i%10)
		}
	}
	file.WriteString("networks:\n  front:\n  back:\nvolumes:\n")
	for i := range 10 {
		fmt.Fprintf(&file, "  data%d:\n", i)
	}
	return file.String()
}

// realProject is realistic(n) with the files that it names.
func (b *bench) realProject(n int) (string, error) {
	dir, err := b.project(fmt.Sprintf("real%d", n), realistic(n))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(dir, "conf"), 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "common.env"), []byte("REGION=eu\nSTAGE=test\nTRACE=off\n"), 0o644)
}
