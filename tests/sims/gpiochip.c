/* A GPIO chip in user space, for a kernel without one: interposed before libc by LD_PRELOAD. It answers the calls of
 * the GPIO character device API v2 (linux/gpio.h) for /dev/gpiochip-sim. A request of lines becomes a connection to
 * the unix socket $GPIO_SIM/chip.sock, over which the other side sends `struct gpio_v2_line_event`; the values of the lines are
 * the bytes of the file $GPIO_SIM/values. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define CHIP "/dev/gpiochip-sim"
#define LINES 32
#define FDS 1024

static struct gpio_v2_line_request requests[FDS];
static unsigned char kind[FDS]; /* 1: the chip, 2: requested lines */

static int ours(const char *path) { return path && strcmp(path, CHIP) == 0; }

static void name(char *to, size_t size, const char *file) {
    const char *folder = getenv("GPIO_SIM");
    snprintf(to, size, "%s/%s", folder ? folder : "/nonexistent", file);
}

static unsigned char *values(void) {
    static unsigned char *map;
    if (!map) {
        char path[256];
        name(path, sizeof path, "values");
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
        int fd = real(path, O_RDWR);
        if (fd < 0)
            return NULL;
        map = mmap(NULL, LINES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    return map;
}

static int present(void) {
    char path[256];
    name(path, sizeof path, "chip.sock");
    return access(path, F_OK) == 0;
}

static int fill(struct stat *st) {
    if (!present()) {
        errno = ENOENT;
        return -1;
    }
    memset(st, 0, sizeof *st);
    st->st_mode = S_IFCHR | 0660;
    st->st_rdev = makedev(254, 0);
    return 0;
}

int __lxstat(int version, const char *path, struct stat *st) {
    int (*real)(int, const char *, struct stat *) = dlsym(RTLD_NEXT, "__lxstat");
    return ours(path) ? fill(st) : real(version, path, st);
}

int __xstat(int version, const char *path, struct stat *st) {
    int (*real)(int, const char *, struct stat *) = dlsym(RTLD_NEXT, "__xstat");
    return ours(path) ? fill(st) : real(version, path, st);
}

int lstat(const char *path, struct stat *st) {
    int (*real)(const char *, struct stat *) = dlsym(RTLD_NEXT, "lstat");
    return ours(path) ? fill(st) : real(path, st);
}

int stat(const char *path, struct stat *st) {
    int (*real)(const char *, struct stat *) = dlsym(RTLD_NEXT, "stat");
    return ours(path) ? fill(st) : real(path, st);
}

char *realpath(const char *path, char *resolved) {
    char *(*real)(const char *, char *) = dlsym(RTLD_NEXT, "realpath");
    if (path && strcmp(path, "/sys/dev/char/254:0/subsystem") == 0)
        return resolved ? strcpy(resolved, "/sys/bus/gpio") : strdup("/sys/bus/gpio");
    return real(path, resolved);
}

int open(const char *path, int flags, ...) {
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    if (!ours(path))
        return real(path, flags, mode);
    if (!present()) {
        errno = ENOENT;
        return -1;
    }
    int fd = real("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0 && fd < FDS)
        kind[fd] = 1;
    return fd;
}

int close(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "close");
    if (fd >= 0 && fd < FDS)
        kind[fd] = 0;
    return real(fd);
}

static int request(struct gpio_v2_line_request *wanted) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    name(address.sun_path, sizeof address.sun_path, "chip.sock");
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (fd >= FDS || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        errno = ENODEV;
        return -1;
    }
    if (send(fd, wanted, sizeof *wanted, 0) != sizeof *wanted) {
        close(fd);
        errno = EIO;
        return -1;
    }
    char answer; /* "+", or the line is somebody else's */
    if (recv(fd, &answer, 1, 0) != 1 || answer != '+') {
        close(fd);
        errno = EBUSY;
        return -1;
    }
    kind[fd] = 2;
    requests[fd] = *wanted;
    wanted->fd = fd;
    return 0;
}

static unsigned long long flags_of(const struct gpio_v2_line_config *config, unsigned line) {
    for (unsigned i = 0; i < config->num_attrs; i++)
        if (config->attrs[i].attr.id == GPIO_V2_LINE_ATTR_ID_FLAGS && config->attrs[i].mask >> line & 1)
            return config->attrs[i].attr.flags;
    return config->flags;
}

static int move(int fd, struct gpio_v2_line_values *asked, int set) {
    struct gpio_v2_line_request *mine = &requests[fd];
    unsigned char *map = values();
    if (!map) {
        errno = ENODEV;
        return -1;
    }
    for (unsigned line = 0; line < mine->num_lines; line++) {
        if (!(asked->mask >> line & 1))
            continue;
        int low = !!(flags_of(&mine->config, line) & GPIO_V2_LINE_FLAG_ACTIVE_LOW);
        unsigned char *value = &map[mine->offsets[line] % LINES];
        if (set)
            *value = (asked->bits >> line & 1) ^ low;
        else if ((*value ^ low) & 1)
            asked->bits |= 1ULL << line;
        else
            asked->bits &= ~(1ULL << line);
    }
    return 0;
}

int ioctl(int fd, unsigned long number, ...) {
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    va_list more;
    va_start(more, number);
    void *data = va_arg(more, void *);
    va_end(more);
    if (fd < 0 || fd >= FDS || !kind[fd])
        return real(fd, number, data);
    switch ((unsigned)number) { /* some callers extend its sign */
    case GPIO_GET_CHIPINFO_IOCTL:
        *(struct gpiochip_info *)data = (struct gpiochip_info){.name = "gpiochip-sim", .label = "sim", .lines = LINES};
        return 0;
    case GPIO_V2_GET_LINEINFO_IOCTL:
        *(struct gpio_v2_line_info *)data = (struct gpio_v2_line_info){
            .offset = ((struct gpio_v2_line_info *)data)->offset, .flags = GPIO_V2_LINE_FLAG_INPUT};
        return 0;
    case GPIO_V2_GET_LINE_IOCTL:
        return request(data);
    case GPIO_V2_LINE_GET_VALUES_IOCTL:
        return move(fd, data, 0);
    case GPIO_V2_LINE_SET_VALUES_IOCTL:
        return move(fd, data, 1);
    }
    errno = ENOTTY;
    return -1;
}
