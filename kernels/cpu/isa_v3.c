#define ISA_TABLE isa_v3
#define ISA_NAME  "x86-64-v3"
#include "kernels/cpu/isa_kernels.h"
