// make-filter: reads system call names from standard input, one a line, and writes a BPF program to standard
// output that allows these and answers every other with ENOSYS, as a default-deny profile does. For the peers
// that take a finished filter (bwrap --seccomp, minilaunch -s). Names that this libseccomp does not know are
// counted on standard error. The program is a binary tree, libseccomp's fastest form.
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter) return 1;
    if (seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0) return 1;
    if (seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) != 0) return 1;

    char name[128];
    int allowed = 0, unknown = 0;
    while (fgets(name, sizeof name, stdin)) {
        name[strcspn(name, "\n")] = '\0';
        int number = seccomp_syscall_resolve_name(name);
        if (number < 0) {
            unknown++;
            continue;
        }
        int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        if (result != 0 && result != -EEXIST) {
            fprintf(stderr, "make-filter: %s: %s\n", name, strerror(-result));
            return 1;
        }
        allowed++;
    }
    int result = seccomp_export_bpf(filter, STDOUT_FILENO);
    seccomp_release(filter);
    if (result != 0 || allowed == 0) {
        fprintf(stderr, "make-filter: no filter was written\n");
        return 1;
    }
    fprintf(stderr, "make-filter: %d calls allowed, %d names unknown here\n", allowed, unknown);
    return 0;
}
