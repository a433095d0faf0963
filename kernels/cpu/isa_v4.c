#define ISA_TABLE isa_v4
#define ISA_NAME  "x86-64-v4"
#include "kernels/cpu/isa_kernels.h"
