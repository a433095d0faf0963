/* A table on a terminal: columns as wide as their texts; on a narrow terminal the least important one is cut first. */
#ifndef CLIENT_TERMINAL_TABLE_H
#define CLIENT_TERMINAL_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "client/terminal/term.h"

typedef struct Column {
    const char *title;
    bool right; /* numbers */
    int give;   /* 0: never cut; the highest is cut first */
} Column;

typedef struct Table Table;

Table *table_new(const Column *columns, int count);           /* columns must outlive the table */
void table_cell(Table *table, Color color, const char *text); /* row by row, left to right; NULL or "": "-" */
void table_print(const Table *table, FILE *to);               /* prints nothing without rows */
void table_print_in(const Table *table, FILE *to, int width); /* width in columns; 0: no limit */
void table_free(Table *table);

#endif
