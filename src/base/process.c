#include "base/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

double process_cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static uint64_t resident_bytes_by(const char *file)
{
    unsigned long pages = 0;
    FILE *in = fopen(file, "re");

    if (in && fscanf(in, "%*s %lu", &pages) != 1)
        pages = 0;
    if (in)
        fclose(in);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t process_resident_bytes(void)
{
    return resident_bytes_by("/proc/self/statm");
}

uint64_t process_resident_bytes_of(int pid)
{
    char file[32];

    snprintf(file, sizeof(file), "/proc/%d/statm", pid);
    return resident_bytes_by(file);
}

uint64_t process_open_descriptors(void)
{
    uint64_t count = 0;
    DIR *dir = opendir("/proc/self/fd");

    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", "..", and the directory itself */
}

uint64_t process_raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}
