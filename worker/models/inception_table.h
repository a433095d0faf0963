/* The FID Inception network as data: what inception.c walks. Internal to it and to the test that counts it.
 *
 * A block takes one map and gives one: its branches' results side by side along the channels, in the order of the
 * table. A branch enters by a pool or as it is, goes through `chain`, and ends in the last map of the chain or, where
 * `ends` are listed, in each of them applied to that map. Widths are not here: they are read off the weights. */
#ifndef WORKER_MODELS_INCEPTION_TABLE_H
#define WORKER_MODELS_INCEPTION_TABLE_H

typedef enum Kernel { K1X1, K3X3, K3X3_VALID, K3X3_HALVE, K5X5, K1X7, K7X1, K1X3, K3X1, KERNELS } Kernel;
typedef struct Geometry {
    int kh, kw, stride, pad_h, pad_w;
} Geometry;
extern const Geometry inception_geometry[KERNELS];

/* Convolution without bias, BatchNorm, ReLU. The weights' prefix is BLOCK.NAME, or BLOCK where the name is "". */
typedef struct Unit {
    const char *name; /* NULL ends a list */
    Kernel kernel;
} Unit;

typedef enum Entry {
    ENTRY_PLAIN,
    ENTRY_AVERAGE,   /* 3x3, stride 1, padding 1, divided by the pixels inside the image */
    ENTRY_MAX,       /* 3x3, stride 1, padding 1 */
    ENTRY_MAX_HALVE, /* 3x3, stride 2, no padding */
    ENTRIES
} Entry;

typedef struct Branch {
    Entry entry;
    Unit chain[6], ends[3];
} Branch;

typedef struct Block {
    const char *name; /* also the stage's name */
    const Branch *branches;
    int count;
} Block;

enum {
    INCEPTION_SIDE = 299,    /* of the input */
    INCEPTION_LAST_SIDE = 8, /* of the last map */
    INCEPTION_BLOCKS = 18,
    INCEPTION_UNITS = 94,
    INCEPTION_MAX_PARTS = 6 /* maps that meet in a block */
};
extern const Block inception_blocks[INCEPTION_BLOCKS];

/* The source of the sFID features: this unit's map (after ReLU), its first channels, in height, width, channel order.
 */
#define INCEPTION_SPATIAL_UNIT "Mixed_6d.branch1x1"
enum { INCEPTION_SPATIAL_SIDE = 17, INCEPTION_SPATIAL_CHANNELS = 7 };

#endif
