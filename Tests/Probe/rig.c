// rig: a host with something wrong with it. Prepares the fault and executes the command in it.
//
//   rig [--deny CALL=ERRNO] [--tmpfs PATH=SIZE] [--ro PATH] [--hide PATH] [--max-user-namespaces N]
//       [--descriptor N] [--gone DIRECTORY] -- COMMAND ARG…
//
// --deny makes one system call fail for the command and all it starts; the mounts are made in a mount namespace
// of their own (and a user namespace with the caller's own ids, where the caller is not root).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMED(name) { #name, SYS_##name }
static const struct { const char *name; long number; } calls[] = {
    NAMED(clone3), NAMED(clone), NAMED(unshare), NAMED(mount), NAMED(pivot_root), NAMED(umount2),
    NAMED(open_tree), NAMED(move_mount), NAMED(fsopen), NAMED(fsconfig), NAMED(fsmount),
    NAMED(mount_setattr), NAMED(sethostname), NAMED(seccomp), NAMED(landlock_create_ruleset),
    NAMED(landlock_add_rule), NAMED(landlock_restrict_self), NAMED(capset), NAMED(memfd_create),
    NAMED(listen), NAMED(socket), NAMED(bind), NAMED(prlimit64), NAMED(setrlimit), NAMED(pidfd_open), NAMED(pidfd_send_signal),
    NAMED(signalfd4), NAMED(close_range), NAMED(execveat), NAMED(setresuid), NAMED(setgroups), NAMED(setsid),
    NAMED(mkdirat), NAMED(chroot), NAMED(socketpair), NAMED(sendmsg), NAMED(poll), NAMED(ppoll),
};

static void fail(const char *what) {
    fprintf(stderr, "rig: %s: %s\n", what, strerror(errno));
    exit(99);
}

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) fail(path);
    close(fd);
}

// Own namespaces with the caller's own ids, so that the command sees the user it would see without this.
static void separate(int with_users) {
    static int done = 0;
    if (done++) return;
    char map[64];
    uid_t user = geteuid();
    gid_t group = getegid();
    int users = with_users || user != 0;
    if (unshare((users ? CLONE_NEWUSER : 0) | CLONE_NEWNS) != 0) fail("unshare");
    if (users) {
        write_file("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "%u %u 1", user, user);
        write_file("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "%u %u 1", group, group);
        write_file("/proc/self/gid_map", map);
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("private mounts");
}

static void deny(char *text) {
    char *equals = strchr(text, '=');
    if (equals == NULL) exit(98);
    *equals = 0;
    long number = -1;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, text) == 0) number = calls[i].number;
    if (number < 0) {
        fprintf(stderr, "rig: no system call named %s\n", text);
        exit(98);
    }
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(equals + 1)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { 4, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("no_new_privs");
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) fail("seccomp");
}

// An empty thing of the same kind over the path: there is then no such device, or nothing in the directory.
static void hide(const char *path) {
    struct stat about;
    if (stat(path, &about) != 0) fail(path);
    if (S_ISDIR(about.st_mode)) {
        if (mount("none", path, "tmpfs", MS_RDONLY, NULL) != 0) fail(path);
    } else if (mount("/dev/null", path, NULL, MS_BIND, NULL) != 0) {
        fail(path);
    }
}

static void read_only(const char *path) {
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) != 0) fail(path);
    if (mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0) fail(path);
}

static void small(char *text) {
    char *equals = strrchr(text, '='), options[64];
    if (equals == NULL) exit(98);
    *equals = 0;
    snprintf(options, sizeof options, "size=%s,mode=0700", equals + 1);
    if (mount("none", text, "tmpfs", 0, options) != 0) fail(text);
    if (strchr(equals + 1, 'k') == NULL) return;
    // Fill it: what the command then writes there finds no room.
    char path[4096], bytes[4096] = {0};
    snprintf(path, sizeof path, "%s/.full", text);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, bytes, sizeof bytes) > 0) continue;
    close(fd);
}

int main(int count, char **words) {
    int at = 1;
    char *denied[16] = {0};
    int denials = 0;
    for (; at + 1 < count && strcmp(words[at], "--") != 0; at += 2) {
        char *option = words[at], *value = words[at + 1];
        if (strcmp(option, "--deny") == 0 && denials < 16) {
            denied[denials++] = value;
        } else if (strcmp(option, "--hide") == 0) {
            separate(0);
            hide(value);
        } else if (strcmp(option, "--ro") == 0) {
            separate(0);
            read_only(value);
        } else if (strcmp(option, "--tmpfs") == 0) {
            separate(0);
            small(value);
        } else if (strcmp(option, "--max-user-namespaces") == 0) {
            separate(1);
            write_file("/proc/sys/user/max_user_namespaces", value);
        } else if (strcmp(option, "--gone") == 0) {
            if (mkdir(value, 0755) != 0 || chdir(value) != 0 || rmdir(value) != 0) fail(value);
        } else if (strcmp(option, "--descriptor") == 0) {
            int fd = open("/", O_RDONLY | O_DIRECTORY);
            if (dup2(fd, atoi(value)) < 0) fail(value);
        } else {
            fprintf(stderr, "rig: unknown option %s\n", option);
            return 98;
        }
    }
    if (at + 1 >= count) return 98;
    for (int i = 0; i < denials; i++) deny(denied[i]);
    execvp(words[at + 1], words + at + 1);
    fail(words[at + 1]);
}
