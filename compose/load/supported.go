package load

import "strings"

// supportedKeys are the keys that reach the model, as paths in which * stands for a
// name the user chose and [] for a list entry. A key of the specification that
// is not here is refused; TestEveryFieldIsMappedOrRefused holds both lists
// against compose-go's types.
func supportedKeys() map[string]bool { return keySet(supported) }

const supported = `
version name include services networks volumes configs secrets

include[].path include[].env_file include[].project_directory

services.*.image services.*.build services.*.pull_policy services.*.platform services.*.container_name services.*.hostname
services.*.domainname services.*.attach services.*.runtime
services.*.labels services.*.profiles services.*.scale services.*.extends services.*.deploy services.*.develop
services.*.command services.*.entrypoint services.*.working_dir services.*.user services.*.group_add
services.*.environment services.*.env_file services.*.init services.*.tty services.*.stdin_open
services.*.stop_signal services.*.stop_grace_period services.*.ulimits
services.*.privileged services.*.cap_add services.*.cap_drop services.*.security_opt services.*.read_only
services.*.sysctls services.*.devices services.*.devices[].source services.*.devices[].target
services.*.devices[].permissions services.*.device_cgroup_rules services.*.oom_score_adj
services.*.pid services.*.ipc services.*.uts services.*.cgroup services.*.userns_mode
services.*.volumes services.*.volumes_from services.*.tmpfs services.*.shm_size services.*.configs services.*.secrets
services.*.networks services.*.network_mode services.*.mac_address services.*.ports services.*.expose services.*.links services.*.external_links
services.*.dns services.*.dns_search services.*.dns_opt services.*.extra_hosts
services.*.cpus services.*.cpu_quota services.*.cpu_period services.*.cpu_shares services.*.cpuset services.*.mem_limit services.*.mem_reservation
services.*.memswap_limit services.*.pids_limit
services.*.blkio_config services.*.blkio_config.weight services.*.blkio_config.weight_device
services.*.blkio_config.weight_device[].path services.*.blkio_config.weight_device[].weight
services.*.blkio_config.device_read_bps services.*.blkio_config.device_read_bps[].path services.*.blkio_config.device_read_bps[].rate
services.*.blkio_config.device_write_bps services.*.blkio_config.device_write_bps[].path services.*.blkio_config.device_write_bps[].rate
services.*.blkio_config.device_read_iops services.*.blkio_config.device_read_iops[].path services.*.blkio_config.device_read_iops[].rate
services.*.blkio_config.device_write_iops services.*.blkio_config.device_write_iops[].path services.*.blkio_config.device_write_iops[].rate
services.*.depends_on services.*.healthcheck services.*.restart services.*.logging

services.*.post_start services.*.post_start[].command services.*.post_start[].user services.*.post_start[].privileged
services.*.post_start[].working_dir services.*.post_start[].environment
services.*.pre_stop services.*.pre_stop[].command services.*.pre_stop[].user services.*.pre_stop[].privileged
services.*.pre_stop[].working_dir services.*.pre_stop[].environment

services.*.extends.service services.*.extends.file
services.*.env_file[].path services.*.env_file[].required services.*.env_file[].format
services.*.label_file
services.*.ulimits.*.soft services.*.ulimits.*.hard
services.*.logging.driver services.*.logging.options
services.*.depends_on.*.condition services.*.depends_on.*.restart services.*.depends_on.*.required
services.*.networks.*.aliases services.*.networks.*.ipv4_address services.*.networks.*.ipv6_address
services.*.networks.*.mac_address services.*.networks.*.interface_name services.*.networks.*.link_local_ips
services.*.networks.*.priority services.*.networks.*.gw_priority services.*.networks.*.use_service_name_alias

services.*.healthcheck.test services.*.healthcheck.interval services.*.healthcheck.timeout
services.*.healthcheck.retries services.*.healthcheck.start_period services.*.healthcheck.start_interval
services.*.healthcheck.disable

services.*.build.context services.*.build.dockerfile services.*.build.dockerfile_inline services.*.build.args
services.*.build.target services.*.build.secrets services.*.build.labels services.*.build.tags
services.*.build.no_cache services.*.build.pull services.*.build.network services.*.build.extra_hosts
services.*.build.secrets[].source services.*.build.secrets[].target
services.*.build.additional_contexts services.*.build.no_cache_filter services.*.build.platforms
services.*.build.shm_size services.*.build.ulimits services.*.build.ssh
services.*.build.cache_from services.*.build.cache_to
services.*.build.ulimits.*.soft services.*.build.ulimits.*.hard

services.*.ports[].name services.*.ports[].mode services.*.ports[].host_ip services.*.ports[].target
services.*.ports[].published services.*.ports[].protocol services.*.ports[].app_protocol

services.*.volumes[].type services.*.volumes[].source services.*.volumes[].target
services.*.volumes[].read_only services.*.volumes[].consistency
services.*.volumes[].bind services.*.volumes[].bind.propagation services.*.volumes[].bind.create_host_path
services.*.volumes[].bind.selinux
services.*.volumes[].volume services.*.volumes[].volume.nocopy services.*.volumes[].volume.subpath
services.*.volumes[].tmpfs services.*.volumes[].tmpfs.size services.*.volumes[].tmpfs.mode

services.*.configs[].source services.*.configs[].target services.*.configs[].uid services.*.configs[].gid
services.*.configs[].mode
services.*.secrets[].source services.*.secrets[].target services.*.secrets[].uid services.*.secrets[].gid
services.*.secrets[].mode

services.*.deploy.mode services.*.deploy.replicas services.*.deploy.resources services.*.deploy.restart_policy
services.*.deploy.resources.limits services.*.deploy.resources.limits.cpus
services.*.deploy.resources.limits.memory services.*.deploy.resources.limits.pids
services.*.deploy.resources.reservations services.*.deploy.resources.reservations.memory
services.*.deploy.restart_policy.condition services.*.deploy.restart_policy.delay
services.*.deploy.restart_policy.max_attempts services.*.deploy.restart_policy.window

services.*.develop.watch services.*.develop.watch[].path services.*.develop.watch[].action
services.*.develop.watch[].target services.*.develop.watch[].ignore services.*.develop.watch[].include
services.*.develop.watch[].initial_sync services.*.develop.watch[].exec
services.*.develop.watch[].exec.command services.*.develop.watch[].exec.user
services.*.develop.watch[].exec.privileged services.*.develop.watch[].exec.working_dir
services.*.develop.watch[].exec.environment

networks.*.name networks.*.driver networks.*.driver_opts networks.*.external networks.*.external.name
networks.*.internal networks.*.attachable networks.*.enable_ipv4 networks.*.enable_ipv6
networks.*.labels networks.*.ipam networks.*.ipam.driver networks.*.ipam.config
networks.*.ipam.config[].subnet networks.*.ipam.config[].gateway networks.*.ipam.config[].ip_range
networks.*.ipam.config[].aux_addresses

volumes.*.name volumes.*.driver volumes.*.driver_opts volumes.*.external volumes.*.external.name volumes.*.labels

configs.*.name configs.*.file configs.*.environment configs.*.content configs.*.labels
secrets.*.name secrets.*.file secrets.*.environment secrets.*.labels
`

// idleKeys are told, not refused, with the reason why they have no effect.
// docker compose reads none of those for clusters either.
func idleKeys() map[string]string {
	out := map[string]string{}
	for reason, patterns := range map[string]string{
		"is for clusters": `services.*.deploy.labels services.*.deploy.placement services.*.deploy.endpoint_mode
			services.*.deploy.update_config services.*.deploy.rollback_config
			services.*.deploy.resources.reservations.cpus services.*.deploy.resources.reservations.generic_resources`,
		"is for the old cgroup v1": `services.*.mem_swappiness services.*.oom_kill_disable services.*.cpu_rt_period
			services.*.cpu_rt_runtime`,
		"is for Windows":            "services.*.cpu_count services.*.cpu_percent services.*.isolation services.*.credential_spec",
		"is for other OCI runtimes": "services.*.annotations",
	} {
		for pattern := range strings.FieldsSeq(patterns) {
			out[pattern] = reason
		}
	}
	return out
}

// logOption is the pattern of what a log driver may be told.
const logOption = "services.*.logging.options.*"

// idleLogOptions are those of json-file and local that say what stands beside
// the lines in Docker's files, or how these are written.
func idleLogOptions() []string {
	return []string{"compress", "env", "env-regex", "labels", "labels-regex", "max-buffer-size", "mode", "tag"}
}

func keySet(text string) map[string]bool {
	set := map[string]bool{}
	for path := range strings.FieldsSeq(text) {
		set[path] = true
	}
	return set
}
