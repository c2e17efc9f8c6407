/* Runs a program under restrictions that containers and distributions make: confine docker|apparmor|old COMMAND...
 *
 * docker: what Docker's default profile forbids a container without capabilities: new namespaces, mounts, pidfd_getfd, io_uring.
 * apparmor: user namespaces without rights in them, as Ubuntu 24.04 gives ordinary users.
 * old: no seccomp notification at all, as before Linux 5.0. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE_CALL(call, error) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), REFUSE(error)
#define NAMESPACES (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)

static struct sock_filter docker[] = {
    LOAD(nr),
    REFUSE_CALL(SYS_unshare, EPERM),
    REFUSE_CALL(SYS_setns, EPERM),
    REFUSE_CALL(SYS_mount, EPERM),
    REFUSE_CALL(SYS_umount2, EPERM),
    REFUSE_CALL(SYS_pivot_root, EPERM),
    REFUSE_CALL(SYS_pidfd_getfd, EPERM),
    REFUSE_CALL(SYS_kcmp, EPERM),
    REFUSE_CALL(SYS_io_uring_setup, EPERM),
    REFUSE_CALL(SYS_clone3, ENOSYS),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
    LOAD(args[0]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1),
    REFUSE(EPERM),
    ALLOW,
};

static struct sock_filter apparmor[] = {
    LOAD(nr),
    REFUSE_CALL(SYS_mount, EACCES),
    REFUSE_CALL(SYS_umount2, EACCES),
    ALLOW,
};

static struct sock_filter old[] = {
    LOAD(nr),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 3),
    LOAD(args[1]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0, 1),
    REFUSE(EINVAL),
    ALLOW,
};

#define PROGRAM(filter) ((struct sock_fprog){sizeof(filter) / sizeof *(filter), (filter)})

int main(int argc, char **argv) {
    struct sock_fprog program;
    if (argc < 3)
        return 2;
    if (!strcmp(argv[1], "docker"))
        program = PROGRAM(docker);
    else if (!strcmp(argv[1], "apparmor"))
        program = PROGRAM(apparmor);
    else if (!strcmp(argv[1], "old"))
        program = PROGRAM(old);
    else
        return 2;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("confine");
        return 2;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 2;
}
