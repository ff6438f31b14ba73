/*
 * floor: what the bare kernel needs for the parts of a container's start.
 *
 *   floor exec  N ROOTFS WORK   vfork and exec of /bin/true of ROOTFS, until it has ended
 *   floor net   N ROOTFS WORK   network namespace, veth on a bridge, address, default route
 *   floor attach N ROOTFS WORK  a hundred of these
 *   floor gone  N ROOTFS WORK   the same hundred from the last descriptor until no link is left
 *   floor start N ROOTFS WORK   that of net, cgroups with device rules, overlay, the usual mounts, masks,
 *                               pivot_root, capabilities, seccomp, an init; until both were executed
 *
 * Prints N times in microseconds, one a line. All happens in a network and a
 * mount namespace of its own, so nothing stays but the cgroups and folders that
 * it removes. It is the kernel's work for a container of `init: true`, and
 * nothing else: no monitor, no log, no resolver, nothing on disk but the
 * overlay's folders.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_GROUPS 32

static char root[3000], work[3000]; /* a mount takes a page of options */
static char groups[MAX_GROUPS][512];
static int ngroups, host_ns, bridge;

static void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

/* A netlink message under construction. */
struct message {
	struct nlmsghdr h;
	char body[1024];
};

static void *add(struct message *m, const void *data, size_t n)
{
	void *at = (char *)m + NLMSG_ALIGN(m->h.nlmsg_len);
	memcpy(at, data, n);
	m->h.nlmsg_len = NLMSG_ALIGN(m->h.nlmsg_len) + n;
	return at;
}

static struct rtattr *attr(struct message *m, int type, const void *data, size_t n)
{
	struct rtattr a = { .rta_len = RTA_LENGTH(n), .rta_type = type };
	struct rtattr *at = add(m, &a, sizeof a);
	if (n)
		add(m, data, n);
	return at;
}

static void close_attr(struct message *m, struct rtattr *a)
{
	m->h.nlmsg_len = NLMSG_ALIGN(m->h.nlmsg_len);
	a->rta_len = (char *)m + m->h.nlmsg_len - (char *)a;
}

static struct message start_message(int type, int flags, const void *head, size_t n)
{
	struct message m = { .h = { .nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags } };
	add(&m, head, n);
	return m;
}

static int route_socket(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		die("netlink socket");
	return fd;
}

/* Sends messages in one write and reads an answer for each. */
static void talk(int fd, struct message *m, int n, const char *what)
{
	char buffer[8192];
	size_t length = 0;
	for (int i = 0; i < n; i++) {
		memcpy(buffer + length, &m[i], m[i].h.nlmsg_len);
		length += NLMSG_ALIGN(m[i].h.nlmsg_len);
	}
	if (send(fd, buffer, length, 0) < 0)
		die(what);
	while (n > 0) {
		ssize_t got = recv(fd, buffer, sizeof buffer, 0);
		if (got < 0)
			die(what);
		for (struct nlmsghdr *h = (void *)buffer; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got), n--) {
			struct nlmsgerr *e = NLMSG_DATA(h);
			if (h->nlmsg_type == NLMSG_ERROR && e->error) {
				errno = -e->error;
				die(what);
			}
		}
	}
}

static struct message new_link(int index, const char *name)
{
	struct ifinfomsg i = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP, .ifi_index = index };
	struct message m = start_message(RTM_NEWLINK, name ? NLM_F_CREATE | NLM_F_EXCL : 0, &i, sizeof i);
	if (name)
		attr(&m, IFLA_IFNAME, name, strlen(name) + 1);
	return m;
}

static void make_bridge(void)
{
	int fd = route_socket();
	struct message m = new_link(bridge, "floor");
	struct rtattr *info = attr(&m, IFLA_LINKINFO | NLA_F_NESTED, NULL, 0);
	attr(&m, IFLA_INFO_KIND, "bridge", 7);
	close_attr(&m, info);
	talk(fd, &m, 1, "bridge");
	close(fd);
}

/* Network namespace with eth0: returns its descriptor. */
static int make_net(int n)
{
	char name[32];
	uint32_t one = 1;
	if (unshare(CLONE_NEWNET))
		die("unshare");
	int ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int inside = route_socket();
	if (ns < 0 || setns(host_ns, CLONE_NEWNET))
		die("namespace");
	int outside = route_socket();
	snprintf(name, sizeof name, "floor%d", n);
	struct message m = new_link(0, name);
	attr(&m, IFLA_MASTER, &bridge, sizeof bridge);
	attr(&m, IFLA_NUM_TX_QUEUES, &one, sizeof one);
	attr(&m, IFLA_NUM_RX_QUEUES, &one, sizeof one);
	struct rtattr *info = attr(&m, IFLA_LINKINFO | NLA_F_NESTED, NULL, 0);
	attr(&m, IFLA_INFO_KIND, "veth", 5);
	struct rtattr *data = attr(&m, IFLA_INFO_DATA | NLA_F_NESTED, NULL, 0);
	struct rtattr *peer = attr(&m, VETH_INFO_PEER | NLA_F_NESTED, NULL, 0);
	struct ifinfomsg i = { .ifi_index = 2 };
	add(&m, &i, sizeof i);
	attr(&m, IFLA_IFNAME, "eth0", 5);
	attr(&m, IFLA_NUM_TX_QUEUES, &one, sizeof one); /* the rest would be left alone after a grace period */
	attr(&m, IFLA_NUM_RX_QUEUES, &one, sizeof one);
	attr(&m, IFLA_NET_NS_FD, &ns, sizeof ns);
	close_attr(&m, peer);
	close_attr(&m, data);
	close_attr(&m, info);
	talk(outside, &m, 1, "veth");
	close(outside);

	uint8_t address[4] = { 10, 0, 0, 2 }, gateway[4] = { 10, 0, 0, 1 };
	uint32_t eth0 = 2;
	struct ifaddrmsg a = { .ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 2 };
	struct rtmsg r = { .rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
		.rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST };
	struct message batch[4] = { new_link(1, NULL), new_link(2, NULL),
		start_message(RTM_NEWADDR, NLM_F_CREATE, &a, sizeof a), start_message(RTM_NEWROUTE, NLM_F_CREATE, &r, sizeof r) };
	attr(&batch[2], IFA_LOCAL, address, 4);
	attr(&batch[2], IFA_ADDRESS, address, 4);
	attr(&batch[3], RTA_GATEWAY, gateway, 4);
	attr(&batch[3], RTA_OIF, &eth0, sizeof eth0);
	talk(inside, batch, 4, "address");
	close(inside);
	return ns;
}

#include "inside.h"

/* The hierarchies of cgroup v1, or the one of v2. */
static void find_groups(void)
{
	const char *top = "/sys/fs/cgroup";
	char path[512];
	DIR *d = opendir(top);
	if (!access("/sys/fs/cgroup/cgroup.procs", F_OK)) {
		snprintf(groups[ngroups++], sizeof groups[0], "%s/mc-floor-%d", top, getpid());
		return;
	}
	for (struct dirent *e; d && (e = readdir(d)) && ngroups < MAX_GROUPS;) {
		struct stat s;
		snprintf(path, sizeof path, "%s/%.64s/cgroup.procs", top, e->d_name);
		if (e->d_name[0] == '.' || access(path, F_OK))
			continue;
		snprintf(path, sizeof path, "%s/%.64s", top, e->d_name);
		if (!lstat(path, &s) && S_ISDIR(s.st_mode))
			snprintf(groups[ngroups++], sizeof groups[0], "%.256s/mc-floor-%d", path, getpid());
	}
}

static void inherit_cpuset(const char *group)
{
	const char *files[] = { "cpuset.cpus", "cpuset.mems" };
	for (int i = 0; i < 2; i++) {
		char path[600], value[256];
		snprintf(path, sizeof path, "%s/../%s", group, files[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		ssize_t n = read(fd, value, sizeof value);
		close(fd);
		snprintf(path, sizeof path, "%s/%s", group, files[i]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0 && n > 0 && write(fd, value, n) < 0)
			die(path);
		close(fd);
	}
}

static void allow_devices(const char *group)
{
	static const char *rules[] = { "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",
		"c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm" };
	char path[600];
	snprintf(path, sizeof path, "%s/devices.deny", group);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "a", 1) < 0)
		die(path);
	close(fd);
	snprintf(path, sizeof path, "%s/devices.allow", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	for (int i = 0; i < 11; i++)
		if (write(fd, rules[i], strlen(rules[i])) < 0)
			die(path);
	close(fd);
}

/* On v1 a thread that enters alone waits for no lock. */
static const char *tasks_file(const char *group)
{
	char path[600];
	snprintf(path, sizeof path, "%s/tasks", group);
	return access(path, F_OK) ? "cgroup.procs" : "tasks";
}

static double one_start(int n)
{
	static char stack[64 * 1024] __attribute__((aligned(16)));
	struct child c = { 0 };
	char upper[3100], scratch[3100], path[600];
	snprintf(upper, sizeof upper, "%s-upper%d", work, n);
	snprintf(scratch, sizeof scratch, "%s-work%d", work, n);
	double began = now();
	for (int i = 0; i < ngroups; i++) {
		if (mkdir(groups[i], 0755))
			die(groups[i]);
		if (strstr(groups[i], "/cpuset/"))
			inherit_cpuset(groups[i]);
		if (strstr(groups[i], "/devices/"))
			allow_devices(groups[i]);
		snprintf(path, sizeof path, "%s/%s", groups[i], tasks_file(groups[i]));
		if ((c.procs[i] = open(path, O_WRONLY | O_CLOEXEC)) < 0)
			die(path);
	}
	c.ns = make_net(n);
	if (mkdir(upper, 0755) || mkdir(scratch, 0755))
		die(upper);
	snprintf(c.overlay, sizeof c.overlay, "lowerdir=%s,upperdir=%s,workdir=%s", root, upper, scratch);
	int flags = CLONE_VM | CLONE_VFORK | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | SIGCHLD;
	pid_t pid = clone(enter, stack + sizeof stack, flags, &c);
	double took = now() - began;
	if (pid < 0)
		die("clone");
	if (waitpid(pid, NULL, 0) != pid || c.failed) {
		errno = c.failed;
		fprintf(stderr, "floor: line %d: ", c.line);
		die("child");
	}
	close(c.ns);
	for (int i = 0; i < ngroups; i++) {
		close(c.procs[i]);
		for (int tries = 0; rmdir(groups[i]) && errno == EBUSY && tries < 1000; tries++)
			usleep(1000);
	}
	return took;
}

static double one_exec(void)
{
	char path[3100];
	snprintf(path, sizeof path, "%s/bin/true", root);
	double began = now();
	pid_t pid = vfork();
	if (pid == 0) {
		execl(path, "true", NULL);
		_exit(1);
	}
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die("exec");
	return now() - began;
}

/* It ends with the program: the clean-up of one would be in the next one's way. */
static double one_net(int n)
{
	double began = now();
	make_net(n);
	return now() - began;
}

#define MANY 100

/* The time of a hundred networks, or of their end. */
static double many_nets(int ending)
{
	int ns[MANY], fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	double began = now(), made, gone;
	for (int i = 0; i < MANY; i++)
		ns[i] = make_net(i);
	made = now();
	for (int i = 0; i < MANY; i++)
		close(ns[i]);
	for (int i = 0; i < MANY; i++) {
		struct ifreq r = { 0 };
		snprintf(r.ifr_name, sizeof r.ifr_name, "floor%d", i);
		while (!ioctl(fd, SIOCGIFINDEX, &r))
			usleep(500);
	}
	gone = now();
	close(fd);
	return ending ? gone - made : made - began;
}

static double probe(const char *name, int n)
{
	if (!strcmp(name, "exec"))
		return one_exec();
	if (!strcmp(name, "net"))
		return one_net(n);
	if (!strcmp(name, "attach") || !strcmp(name, "gone"))
		return many_nets(!strcmp(name, "gone"));
	return one_start(n);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: floor exec|net|attach|gone|start N ROOTFS WORK\n");
		return 2;
	}
	snprintf(root, sizeof root, "%s", argv[3]);
	snprintf(work, sizeof work, "%s/floor-%d", argv[4], getpid());
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mkdir(work, 0755))
		die("namespaces");
	host_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	bridge = 77;
	make_bridge();
	find_groups();
	for (int i = 0, n = atoi(argv[2]); i < n; i++)
		printf("%.1f\n", probe(argv[1], i));
	return 0;
}
