/* What the kernel knows of this process. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdint.h>

double process_cpu_seconds(void); /* user and system */
uint64_t process_resident_bytes(void);
uint64_t process_resident_bytes_of(int pid); /* of another one; 0: not known */
uint64_t process_open_descriptors(void);

/* Raises the limit of open descriptors as far as it goes, and says how far that is. */
uint64_t process_raise_descriptor_limit(void);

#endif
