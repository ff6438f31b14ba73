/* What the child of one start does, a part of floor.c. */

/* What the child of one start needs; it shares our memory until its exec. */
struct child {
	int ns, procs[MAX_GROUPS];
	char overlay[8192];
	int failed; /* errno, and the line at which */
	int line;
};

#define TRY(call) do { if ((call) < 0) { c->failed = errno; c->line = __LINE__; _exit(1); } } while (0)

#define MAYBE(call) do { if ((call) < 0 && errno != ENOENT) { c->failed = errno; c->line = __LINE__; _exit(1); } } while (0)

/* The cgroups as a container sees them, one mount for each hierarchy. */
static void mount_groups(struct child *c)
{
	TRY(mount("tmpfs", "sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755"));
	for (int i = 0; i < ngroups; i++) {
		char file[600], dir[300], option[300], *name;
		snprintf(file, sizeof file, "%s/cgroup.controllers", groups[i]);
		int v2 = !access(file, F_OK);
		snprintf(file, sizeof file, "%s", groups[i]);
		*strrchr(file, '/') = 0;
		name = strrchr(file, '/') + 1;
		snprintf(dir, sizeof dir, "sys/fs/cgroup/%.250s", name);
		snprintf(option, sizeof option, "%s%.250s", strcmp(name, "systemd") ? "" : "none,name=", name);
		TRY(mkdir(dir, 0755));
		TRY(mount("cgroup", dir, v2 ? "cgroup2" : "cgroup", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, v2 ? "" : option));
	}
}

static void mask(struct child *c)
{
	static const char *readonly[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };
	static const char *hidden[] = { "proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list", "proc/sched_debug" };
	static const char *folders[] = { "proc/acpi", "proc/asound", "proc/scsi", "sys/firmware" };
	for (int i = 0; i < 5; i++) {
		MAYBE(mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL));
		MAYBE(mount(NULL, readonly[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
		MAYBE(mount("dev/null", hidden[i], NULL, MS_BIND, NULL));
	}
	for (int i = 0; i < 4; i++)
		MAYBE(mount("tmpfs", folders[i], "tmpfs", MS_RDONLY, "size=0"));
}

/* A tree over 128 ranges of system calls, which lets all of them through. */
static int tree(struct sock_filter *f, int from, int to)
{
	if (to - from == 1) {
		f[0] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, from % 2 ? SECCOMP_RET_ALLOW : SECCOMP_RET_LOG);
		return 1;
	}
	int middle = (from + to) / 2, left = tree(f + 2, from, middle);
	f[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, middle * 4, 0, 1);
	f[1] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, left);
	return 2 + left + tree(f + 2 + left, middle, to);
}

static void confine(struct child *c)
{
	static struct sock_filter filter[1024];
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2] = { { 0xa80425fb, 0xa80425fb, 0 } };
	struct sock_fprog program = { .filter = filter };
	filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
	program.len = 1 + tree(filter + 1, 0, 128);
	for (int i = 0; i < 41; i++)
		if (i >= 32 || !(0xa80425fbu & 1u << i))
			prctl(PR_CAPBSET_DROP, i, 0, 0, 0); /* an older kernel has fewer */
	TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	TRY(syscall(SYS_capset, &head, caps));
	TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static int run(void *argument)
{
	struct child *c = argument;
	char *argv[] = { "true", NULL }, *env[] = { NULL };
	TRY(execve("/bin/true", argv, env));
	return 1;
}

static int enter(void *argument)
{
	static char stack[16 * 1024] __attribute__((aligned(16)));
	struct child *c = argument;
	static const char *nodes[] = { "null", "zero", "full", "random", "urandom", "tty" };
	static const int minors[] = { 3, 5, 7, 8, 9, 0 };
	static const char *files[] = { "etc/hosts", "etc/hostname", "etc/resolv.conf" };
	for (int i = 0; i < ngroups; i++)
		TRY(write(c->procs[i], "0", 1));
	TRY(setns(c->ns, CLONE_NEWNET));
	TRY(mount("", "/", "", MS_REC | MS_PRIVATE, ""));
	TRY(mount("overlay", work, "overlay", 0, c->overlay));
	TRY(chdir(work));
	TRY(mount("proc", "proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, ""));
	TRY(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755"));
	TRY(mkdir("dev/pts", 0755));
	TRY(mkdir("dev/shm", 01777));
	TRY(mkdir("dev/mqueue", 0755));
	TRY(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666"));
	TRY(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "size=65536k"));
	TRY(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV, ""));
	for (int i = 0; i < 6; i++) {
		char path[32] = "dev/";
		strcat(path, nodes[i]);
		TRY(mknod(path, S_IFCHR | 0666, makedev(i == 5 ? 5 : 1, minors[i])));
	}
	TRY(mount("sysfs", "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, ""));
	mount_groups(c);
	for (int i = 0; i < 3; i++) {
		TRY(mknod(files[i], S_IFREG | 0644, 0));
		TRY(mount("bin/true", files[i], NULL, MS_BIND, NULL));
	}
	mask(c);
	TRY(syscall(SYS_pivot_root, ".", "."));
	TRY(umount2(".", MNT_DETACH));
	TRY(chdir("/"));
	TRY(sethostname("floor", 5));
	confine(c);
	TRY(clone(run, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, c));
	return run(c);
}
