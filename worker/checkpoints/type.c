/* The number types that checkpoints name. To read another one: its Dtype here and its conversion in read.c. */
#include <string.h>

#include "core/mem.h"
#include "worker/checkpoints/parts.h"

static const CkptType types[] = {
    {"FloatStorage", "float32", "f4", "F32", DTYPE_F32, 4},
    {"HalfStorage", "float16", "f2", "F16", DTYPE_F16, 2},
    {"BFloat16Storage", "bfloat16", NULL, "BF16", DTYPE_BF16, 2},
    {"DoubleStorage", "float64", "f8", "F64", DTYPE_F64, 8},
    {"IntStorage", "int32", "i4", "I32", DTYPE_I32, 4},
    {"LongStorage", "int64", "i8", "I64", DTYPE_I64, 8},
    {"ByteStorage", "uint8", "u1", "U8", DTYPE_U8, 1},
    {"BoolStorage", "bool", "b1", "BOOL", DTYPE_U8, 1},
    {"CharStorage", "int8", "i1", "I8", DTYPES, 1},
    {"ShortStorage", "int16", "i2", "I16", DTYPES, 2},
    {NULL, "uint16", "u2", "U16", DTYPES, 2},
    {NULL, "uint32", "u4", "U32", DTYPES, 4},
    {NULL, "uint64", "u8", "U64", DTYPES, 8},
    {"ComplexFloatStorage", "complex64", "c8", "C64", DTYPES, 8},
    {"ComplexDoubleStorage", "complex128", "c16", NULL, DTYPES, 16},
    {"QInt8Storage", "qint8", NULL, NULL, DTYPES, 1},
    {"QUInt8Storage", "quint8", NULL, NULL, DTYPES, 1},
    {"QInt32Storage", "qint32", NULL, NULL, DTYPES, 4},
    {NULL, "float8_e4m3fn", NULL, "F8_E4M3", DTYPES, 1},
    {NULL, "float8_e5m2", NULL, "F8_E5M2", DTYPES, 1},
    {NULL, "float8_e8m0fnu", NULL, "F8_E8M0", DTYPES, 1},
    {NULL, "float8_e4m3fnuz", NULL, "F8_E4M3FNUZ", DTYPES, 1},
    {NULL, "float8_e5m2fnuz", NULL, "F8_E5M2FNUZ", DTYPES, 1},
    {"ComplexHalfStorage", "complex32", NULL, NULL, DTYPES, 4},
    {"UntypedStorage", NULL, NULL, NULL, DTYPES, 1}, /* bytes; the tensor says what they are */
    {"_UntypedStorage", NULL, NULL, NULL, DTYPES, 1},
};

const CkptType *ckpt_type(const char *name, size_t len)
{
    for (size_t i = 0; i < countof(types); i++) {
        const char *const names[] = {types[i].storage, types[i].torch, types[i].numpy, types[i].safetensors};
        for (size_t k = 0; k < countof(names); k++)
            if (names[k] && strlen(names[k]) == len && memcmp(names[k], name, len) == 0)
                return &types[i];
    }
    return NULL;
}
