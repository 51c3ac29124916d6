// Renames of directories. `rename-dirs make DIR` makes what is renamed, `rename-dirs try DIR` renames it, in a view of DIR
// or in DIR itself, and prints one line for each case: `ok NAME`, or `not ok NAME` with what went wrong. On a file
// system without layers every case is ok, so a staged view must print the same.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { noreplace = 1, exchange = 2 };

// Why the present case failed; empty while it has not.
static __thread char trouble[400];

static void fail(const char *format, ...) {
    if (trouble[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(trouble, sizeof trouble, format, arguments);
    va_end(arguments);
}

#define must(call) do { if ((call) < 0) { fail("%s: %s", #call, strerrorname_np(errno)); return; } } while (0)
#define check(condition) do { if (!(condition)) { fail("%s", #condition); return; } } while (0)

// --- What is made --------------------------------------------------------------------------------------------------

static const struct timespec past = {1577934245, 123456789};

static int put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return -1;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text) ? 0 : -1;
}

static int reads(const char *path, const char *text) {
    char bytes[200];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    return n == (ssize_t)strlen(text) && memcmp(bytes, text, (size_t)n) == 0;
}

static int set_past(const char *path) {
    struct timespec times[2] = {past, past};
    return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static int is_past(const char *path) {
    struct stat node;
    return lstat(path, &node) == 0 && node.st_mtim.tv_sec == past.tv_sec && node.st_mtim.tv_nsec == past.tv_nsec;
}

static int absent(const char *path) {
    struct stat node;
    return lstat(path, &node) < 0 && errno == ENOENT;
}

// How many names a directory has, -1 if it cannot be read.
static int count(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) return -1;
    int n = 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) n++;
    closedir(folder);
    return n;
}

// A directory with a bit of everything, and past times.
static int make_tree(const char *path) {
    char below[300];
    if (mkdir(path, 0750)) return -1;
#define at(name) (snprintf(below, sizeof below, "%s/" name, path), below)
    if (put(at("file"), "text") || chmod(below, 0640) || set_past(below)) return -1;
    if (put(at("script"), "#!") || chmod(below, 0755)) return -1;
    if (symlink("file", at("link"))) return -1;
    if (mkdir(at("sub"), 0700) || put(at("sub/inner"), "inner") || mkdir(at("sub/empty"), 0755)) return -1;
    if (set_past(at("sub/empty")) || set_past(at("sub")) || set_past(path)) return -1;
    return 0;
}

static int is_tree(const char *path) {
    char below[300];
    struct stat node;
    if (count(path) != 4 || !reads(at("file"), "text") || !reads(at("link"), "text")) return 0;
    if (!reads(at("sub/inner"), "inner") || count(at("sub")) != 2 || count(at("sub/empty")) != 0) return 0;
    if (!is_past(path) || !is_past(at("file")) || !is_past(at("sub")) || !is_past(at("sub/empty"))) return 0;
    if (stat(path, &node) || (node.st_mode & 07777) != 0750) return 0;
    if (stat(at("sub"), &node) || (node.st_mode & 07777) != 0700) return 0;
    return stat(at("script"), &node) == 0 && (node.st_mode & 07777) == 0755;
}

static int rename2(const char *from, const char *to, unsigned flags) {
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

// Whether a call fails with this errno.
static int refused(int result, int code) { return result < 0 && errno == code; }

// --- The cases: each has a directory of its own, which is the working directory ---------------------------------------

static void make_one(void) { must(make_tree("a")); }
static void make_two(void) { must(make_tree("a")); must(make_tree("b")); }
static void make_over(void) { must(make_tree("a")); must(mkdir("empty", 0755)); must(put("file", "f")); }

static void try_new_name(void) { must(rename("a", "b")); check(absent("a")); check(is_tree("b")); check(count(".") == 1); }
static void try_over_empty(void) { must(rename("a", "empty")); check(is_tree("empty")); check(absent("a")); }
static void try_over_new_empty(void) {
    must(mkdir("new", 0755));
    must(rename("a", "new"));
    check(is_tree("new"));
}
static void try_over_full(void) {
    check(refused(rename("a", "b"), ENOTEMPTY));
    check(is_tree("a") && is_tree("b"));
}
static void try_over_file(void) {
    check(refused(rename("a", "file"), ENOTDIR));
    check(refused(rename("file", "a"), EISDIR));
    check(is_tree("a"));
}
static void try_missing(void) {
    check(refused(rename("none", "b"), ENOENT));
    check(refused(rename("a", "none/b"), ENOENT));
    check(refused(rename("a", ""), ENOENT));
    check(refused(rename("a/.", "b"), EBUSY));
    check(refused(rename("a", (const char *)8), EFAULT));
    check(is_tree("a"));
}
static void try_into_itself(void) {
    check(refused(rename("a", "a/sub/b"), EINVAL) && refused(rename("a", "a/sub"), EINVAL));
    check(refused(rename("a/sub", "a"), ENOTEMPTY));
    must(rename("a", "a"));
    check(is_tree("a"));
}
static void try_noreplace(void) {
    check(refused(rename2("a", "b", noreplace), EEXIST));
    must(rename2("a", "c", noreplace));
    check(is_tree("c") && is_tree("b") && absent("a"));
}
static void try_exchange(void) {
    must(put("a/mark", ""));
    must(rename2("a", "b", exchange));
    check(absent("a/mark") && reads("b/mark", ""));
    must(unlink("b/mark"));
    check(is_tree("a"));
}
static void try_exchange_file(void) {
    must(rename2("file", "a", exchange));
    check(reads("a", "f") && is_tree("file"));
    must(rename2("file", "a", exchange));
    check(reads("file", "f") && is_tree("a"));
}
static void try_exchange_missing(void) { check(refused(rename2("a", "c", exchange), ENOENT)); check(is_tree("a")); }
static void try_bad_flags(void) { check(refused(rename2("a", "c", 64), EINVAL)); check(is_tree("a")); }
static void try_other_parent(void) {
    must(rename("a", "b/a"));
    check(is_tree("b/a") && absent("a"));
    must(mkdir("new", 0755));
    must(rename("b/a", "new/a"));
    check(is_tree("new/a") && absent("b/a"));
    must(rename("b/sub", "new/a/sub/sub"));
    check(reads("new/a/sub/sub/inner", "inner"));
}
static void try_sub_then_parent(void) {
    must(rename("a/sub", "a/other"));
    must(rename("a", "b"));
    check(reads("b/other/inner", "inner") && absent("b/sub") && absent("a"));
}
static void try_back_and_forth(void) {
    for (int i = 0; i < 20; i++) {
        must(rename("a", "b"));
        must(rename("b", "a"));
    }
    check(is_tree("a"));
    check(count(".") == 1);
}
static void try_old_name_again(void) {
    must(rename("a", "b"));
    must(mkdir("a", 0755));
    check(count("a") == 0);
    must(rename("a", "c"));
    check(count("c") == 0);
    check(is_tree("b"));
}
static void try_changed_before(void) {
    must(unlink("a/file"));
    must(put("a/new", "new"));
    must(put("a/sub/inner", "changed"));
    must(rmdir("a/sub/empty"));
    must(rename("a/script", "a/sub/script"));
    must(rename("a", "b"));
    check(count("b") == 3 && count("b/sub") == 2);
    check(reads("b/new", "new") && reads("b/sub/inner", "changed") && reads("b/sub/script", "#!"));
}
static void try_forms(void) {
    char path[4096];
    must(rename("./a/", "b//"));
    must(rename("b/../b", "../forms/c"));
    check(getcwd(path, sizeof path) != NULL);
    strcat(path, "/c");
    must(rename(path, "a"));
    must(symlink(".", "here"));
    must(rename("here/a", "here/here/b"));
    int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), other = open("b/sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(renameat(fd, "b", other == -1 ? -1 : fd, "c"));
    // The upper half of the register means nothing for a descriptor.
    must((int)syscall(SYS_renameat2, (long)fd | 7L << 32, "c", fd, "a", 0L));
    close(fd);
    close(other);
    check(is_tree("a"));
}
static void try_link_to_directory(void) {
    must(symlink("a", "link"));
    must(rename("link", "other"));
    must(rename("a", "b"));
    must(symlink("b", "a"));
    check(is_tree("a/."));
}

static void make_odd(void) {
    char longest[256];
    memset(longest, 'x', 255);
    longest[255] = 0;
    must(mkdir("odd", 0755));
    must(chdir("odd"));
    must(mkdir("a\nb", 0755));
    must(put("a\nb/\xff\xfe \x1b[31m", "1"));
    must(mkdir("-rf *", 0755));
    must(put("-rf */'\"\\$(x)", "2"));
    must(mkdir(longest, 0755));
    must(put("...", "3"));
    must(chdir(".."));
}
static void try_odd(void) {
    must(rename("odd", "\xc3\x28 new"));
    must(chdir("\xc3\x28 new"));
    check(count(".") == 4 && reads("a\nb/\xff\xfe \x1b[31m", "1") && reads("-rf */'\"\\$(x)", "2") && reads("...", "3"));
    must(rename("a\nb", "\x01"));
    check(reads("\x01/\xff\xfe \x1b[31m", "1"));
}

enum { many = 2000, depth = 120 };
static void make_many(void) {
    must(mkdir("a", 0755));
    for (int i = 0; i < many; i++) {
        char name[40];
        snprintf(name, sizeof name, "a/file-%d", i);
        must(put(name, name));
    }
}
static void try_many(void) {
    must(rename("a", "b"));
    check(count("b") == many);
    for (int i = 0; i < many; i++) {
        char name[40], text[40];
        snprintf(name, sizeof name, "b/file-%d", i);
        snprintf(text, sizeof text, "a/file-%d", i);
        check(reads(name, text));
    }
}
static void make_deep(void) {
    for (int i = 0; i < depth; i++) {
        must(mkdir("d", 0755));
        must(chdir("d"));
        must(put("file", "deep"));
    }
}
static void try_deep(void) {
    must(rename("d", "e"));
    must(chdir("e"));
    for (int i = 1; i < depth; i++) {
        check(reads("file", "deep"));
        must(chdir("d"));
    }
    check(reads("file", "deep"));
}

static void make_kinds(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "a/socket"};
    must(mkdir("a", 0755));
    must(mkfifo("a/fifo", 0600));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(fd, (struct sockaddr *)&address, sizeof address));
    close(fd);
    must(symlink("nowhere", "a/dangling"));
    must(put("a/file", "x"));
    must(link("a/file", "a/second"));
    must(mkdir("a/sub", 0755));
    must(link("a/file", "a/sub/third"));
    must(setxattr("a", "user.note", "outer", 5, 0));
    must(setxattr("a/sub", "user.note", "inner", 5, 0));
    must(setxattr("a/file", "user.note", "file", 4, 0));
}
static void try_kinds(void) {
    struct stat first, second, third, node;
    char value[16];
    must(rename("a", "b"));
    must(lstat("b/fifo", &node));
    check(S_ISFIFO(node.st_mode));
    must(lstat("b/dangling", &node));
    check(S_ISLNK(node.st_mode));
    must(stat("b/file", &first));
    must(stat("b/second", &second));
    must(stat("b/sub/third", &third));
    check(first.st_ino == second.st_ino && first.st_ino == third.st_ino && first.st_nlink == 3);
    check(getxattr("b", "user.note", value, 16) == 5 && memcmp(value, "outer", 5) == 0);
    check(getxattr("b/sub", "user.note", value, 16) == 5 && memcmp(value, "inner", 5) == 0);
    check(getxattr("b/file", "user.note", value, 16) == 4);
}

static void make_modes(void) {
    must(make_tree("a"));
    must(chmod("a/sub", 0500));
    must(chmod("a", 0555));
    must(make_tree("b"));
    must(chmod("b/sub", 0));
    must(mkdir("closed", 0755));
    must(make_tree("closed/a"));
    must(chmod("closed", 0555));
}
static void try_modes(void) {
    struct stat node;
    must(rename("a", "c"));
    must(stat("c", &node));
    check((node.st_mode & 07777) == 0555 && is_past("c"));
    must(stat("c/sub", &node));
    check((node.st_mode & 07777) == 0500 && is_past("c/sub") && reads("c/sub/inner", "inner"));
    must(rename("b", "d"));
    must(stat("d/sub", &node));
    check((node.st_mode & 07777) == 0);
    must(chmod("d/sub", 0700));
    check(is_tree("d"));
    // Root may.
    if (access("closed", W_OK) == 0) return;
    check(refused(rename("closed/a", "e"), EACCES) && refused(rename("closed/a", "closed/e"), EACCES));
    check(is_tree("closed/a"));
}

static void try_open_files(void) {
    int reading = open("a/file", O_RDONLY | O_CLOEXEC), writing = open("a/sub/inner", O_RDWR | O_APPEND | O_CLOEXEC);
    char bytes[20];
    must(reading);
    must(writing);
    must(rename("a", "b"));
    check(read(reading, bytes, 20) == 4 && memcmp(bytes, "text", 4) == 0);
    must(write(writing, "+more", 5));
    check(reads("b/sub/inner", "inner+more"));
    close(reading);
    close(writing);
}
// The path still leads there; what lies there is another directory than the one that this process is in.
static void try_through_working_directory(void) {
    must(chdir("a/sub"));
    must(rename("../../a", "../../b"));
    must(chdir("../.."));
    check(is_tree("b") && absent("a"));
}
static void try_working_directory(void) {
    must(chdir("a/sub"));
    must(rename("../../a", "../../b"));
    check(reads("inner", "inner"));
}
static void try_not_dumpable(void) {
    must(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
    must(rename("a", "b"));
    check(is_tree("b"));
}

// A program that has locked itself in: its own rules count, whatever the sandbox around it may do.
static void try_own_rules(void) {
    struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_ACCESS_FS_REMOVE_DIR};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
    must(fd);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    must((int)syscall(SYS_landlock_restrict_self, fd, 0));
    check(refused(rename("a", "b"), EACCES));
    check(is_tree("a") && absent("b"));
}

// --- Several at once -------------------------------------------------------------------------------------------------

enum { threads = 8 };
static atomic_int winners, failures;
static pthread_barrier_t gate;

static void make_threads(void) {
    for (int i = 0; i < threads; i++) {
        char name[20];
        snprintf(name, sizeof name, "a%d", i);
        must(make_tree(name));
    }
}
static void *rename_own(void *number) {
    char from[20], to[20];
    snprintf(from, sizeof from, "a%d", (int)(intptr_t)number);
    snprintf(to, sizeof to, "b%d", (int)(intptr_t)number);
    pthread_barrier_wait(&gate);
    if (rename(from, to)) failures++;
    return NULL;
}
static void *rename_same(void *number) {
    char to[20];
    snprintf(to, sizeof to, "b%d", (int)(intptr_t)number);
    pthread_barrier_wait(&gate);
    if (rename("a", to) == 0) winners++;
    else if (errno != ENOENT) failures++;
    return NULL;
}
static void *rename_inside(void *number) {
    int i = (int)(intptr_t)number;
    char from[40], to[40];
    snprintf(from, sizeof from, i ? "x/a%d" : "x", i);
    snprintf(to, sizeof to, i ? "b%d" : "y", i);
    pthread_barrier_wait(&gate);
    if (rename(from, to) == 0) winners++;
    else if (errno != ENOENT || i == 0) failures++;
    return NULL;
}
static void run_threads(void *(*body)(void *)) {
    pthread_t all[threads];
    winners = failures = 0;
    pthread_barrier_init(&gate, NULL, threads);
    for (int i = 0; i < threads; i++) pthread_create(&all[i], NULL, body, (void *)(intptr_t)i);
    for (int i = 0; i < threads; i++) pthread_join(all[i], NULL);
}
static void try_threads(void) {
    run_threads(rename_own);
    check(failures == 0 && count(".") == threads);
    for (int i = 0; i < threads; i++) {
        char name[20];
        snprintf(name, sizeof name, "b%d", i);
        check(is_tree(name));
    }
}
static void try_one_winner(void) {
    run_threads(rename_same);
    check(winners == 1 && failures == 0 && count(".") == 1);
}
static void make_nested(void) { must(mkdir("x", 0755)); must(chdir("x")); make_threads(); must(chdir("..")); }
static void try_nested_threads(void) {
    run_threads(rename_inside);
    check(failures == 0);
    // Each is in the old place's new name, or where it was moved to.
    for (int i = 0; i < threads; i++) {
        char inside[20], outside[20];
        snprintf(inside, sizeof inside, "y/a%d", i);
        snprintf(outside, sizeof outside, "b%d", i);
        check(is_tree(inside) != is_tree(outside));
    }
}

// What another process writes meanwhile is all there in the end.
static void try_while_written(void) {
    int ends[2];
    must(pipe(ends));
    pid_t writer = fork();
    must(writer);
    if (writer == 0) {
        int made = 0;
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        close(ends[1]);
        for (char end; read(ends[0], &end, 1) != 0;) {
            char name[40];
            snprintf(name, sizeof name, "%s/sub/made-%d", made & 1 ? "b" : "a", made);
            int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
            if (fd < 0) snprintf(name, sizeof name, "%s/sub/made-%d", made & 1 ? "a" : "b", made);
            if (fd < 0) fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
            if (fd < 0) continue;
            close(fd);
            made++;
            usleep(300);
        }
        put("made", "");
        int fd = open("made", O_WRONLY | O_CLOEXEC);
        dprintf(fd, "%d", made);
        _exit(0);
    }
    close(ends[0]);
    for (int i = 0; i < 30; i++) {
        if (rename("a", "b")) { fail("rename to b: %s", strerrorname_np(errno)); break; }
        if (rename("b", "a")) { fail("rename to a: %s", strerrorname_np(errno)); break; }
    }
    close(ends[1]);
    must(waitpid(writer, NULL, 0));
    char text[20] = "";
    int fd = open("made", O_RDONLY | O_CLOEXEC);
    must(fd);
    must(read(fd, text, 19));
    close(fd);
    int made = atoi(text);
    check(count(".") == 2 && count("a") == 4);
    check(count("a/sub") == 2 + made);
}

// --- All of them -------------------------------------------------------------------------------------------------------

static const struct { const char *name; void (*make)(void), (*attempt)(void); } cases[] = {
    {"new-name", make_one, try_new_name},
    {"over-empty", make_over, try_over_empty},
    {"over-new-empty", make_one, try_over_new_empty},
    {"over-full", make_two, try_over_full},
    {"over-file", make_over, try_over_file},
    {"missing", make_one, try_missing},
    {"into-itself", make_one, try_into_itself},
    {"noreplace", make_two, try_noreplace},
    {"exchange", make_two, try_exchange},
    {"exchange-file", make_over, try_exchange_file},
    {"exchange-missing", make_one, try_exchange_missing},
    {"bad-flags", make_one, try_bad_flags},
    {"other-parent", make_two, try_other_parent},
    {"sub-then-parent", make_one, try_sub_then_parent},
    {"back-and-forth", make_one, try_back_and_forth},
    {"old-name-again", make_one, try_old_name_again},
    {"changed-before", make_one, try_changed_before},
    {"forms", make_one, try_forms},
    {"link-to-directory", make_one, try_link_to_directory},
    {"odd-names", make_odd, try_odd},
    {"many-files", make_many, try_many},
    {"deep", make_deep, try_deep},
    {"kinds", make_kinds, try_kinds},
    {"modes", make_modes, try_modes},
    {"open-files", make_one, try_open_files},
    {"through-working-directory", make_one, try_through_working_directory},
    {"own-rules", make_one, try_own_rules},
    {"threads", make_threads, try_threads},
    {"one-winner", make_one, try_one_winner},
    {"nested-threads", make_nested, try_nested_threads},
    {"while-written", make_one, try_while_written},
    // What a staged view cannot do.
    {"working-directory", make_one, try_working_directory},
    {"not-dumpable", make_one, try_not_dumpable},
};

// Runs one case in a process of its own, in its directory below the present one.
static int run(unsigned i, int makes) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (makes && mkdir(cases[i].name, 0755)) fail("mkdir: %s", strerrorname_np(errno));
        if (chdir(cases[i].name)) fail("chdir: %s", strerrorname_np(errno));
        if (!trouble[0]) (makes ? cases[i].make : cases[i].attempt)();
        if (trouble[0]) printf("not ok %s %s\n", cases[i].name, trouble);
        else if (!makes) printf("ok %s\n", cases[i].name);
        fflush(stdout);
        _exit(trouble[0] != 0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0) return 1;
    if (WIFSIGNALED(status)) printf("not ok %s signal %d\n", cases[i].name, WTERMSIG(status));
    return status != 0;
}

int main(int argc, char **argv) {
    if (argc < 3 || chdir(argv[2]) || (strcmp(argv[1], "make") && strcmp(argv[1], "try"))) {
        fprintf(stderr, "usage: rename-dirs make|try DIR [CASE...]\n");
        return 2;
    }
    umask(022);
    int bad = 0;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        int wanted = argc == 3;
        for (int word = 3; word < argc; word++) wanted |= strcmp(argv[word], cases[i].name) == 0;
        if (wanted) bad |= run(i, strcmp(argv[1], "make") == 0);
    }
    return bad;
}
