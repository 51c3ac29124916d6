// The names of prctl(2)'s options, which Swift's Glibc module lacks.
#ifndef CLINUX_ATTRIBUTES_H
#define CLINUX_ATTRIBUTES_H

#include <linux/prctl.h>
#endif
