/* A table for people: columns as wide as their texts, cut from the least important one when the terminal is narrow. */
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
void table_print(const Table *table, FILE *to);               /* nothing when there is no row */
void table_print_in(const Table *table, FILE *to, int width); /* in so many columns; 0: no limit */
void table_free(Table *table);

#endif
