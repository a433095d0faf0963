#include "client/terminal/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { GAP = 2, LEAST = 6, COLUMNS_MAX = 16, CHUNK = 1 << 16 };

/* Counted once: a table of ten thousand jobs has a hundred thousand cells. */
typedef struct Cell {
    const char *text;
    int len, columns;
    Color color;
} Cell;

/* Storage of the texts, freed with the table. */
typedef struct Chunk {
    struct Chunk *next;
    size_t used, size;
    char bytes[];
} Chunk;

struct Table {
    const Column *columns;
    int column_count;
    Cell *cells;
    int count, capacity;
    Chunk *chunks; /* the newest first */
};

Table *table_new(const Column *columns, int count)
{
    assert(count > 0 && count <= COLUMNS_MAX);
    Table *table = xcalloc(1, sizeof *table);
    table->columns = columns;
    table->column_count = count;
    return table;
}

static char *room(Table *table, size_t size)
{
    if (!table->chunks || table->chunks->size - table->chunks->used < size) {
        size_t bytes = size > CHUNK ? size : CHUNK;
        Chunk *chunk = xmalloc(sizeof *chunk + bytes);
        *chunk = (Chunk){.next = table->chunks, .size = bytes};
        table->chunks = chunk;
    }
    char *at = table->chunks->bytes + table->chunks->used;
    table->chunks->used += size;
    return at;
}

/* Control characters of a reason or a name must not reach the terminal. */
static Cell clean(Table *table, Color color, const char *text)
{
    if (!text || !*text)
        return (Cell){"-", 1, 1, color};
    char *copy = room(table, strlen(text) + 1);
    int columns = 0, len = 0;
    while (*text) {
        int control = term_control(text);
        columns += ((unsigned char)*text & 0xc0) != 0x80;
        copy[len++] = control ? ' ' : *text;
        text += control ? control : 1;
    }
    copy[len] = 0;
    return (Cell){copy, len, columns, color};
}

void table_cell(Table *table, Color color, const char *text)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->cells = xrealloc(table->cells, (size_t)table->capacity * sizeof *table->cells);
    }
    table->cells[table->count++] = clean(table, color, text);
}

/* Widths that fit: the column with the highest `give` is cut to LEAST, then dropped, then the next one. */
static void fit(const Table *table, int limit, int *widths)
{
    int total = -GAP;
    for (int c = 0; c < table->column_count; c++) {
        widths[c] = term_columns(table->columns[c].title);
        for (int i = c; i < table->count; i += table->column_count) {
            int columns = table->cells[i].columns;
            widths[c] = columns > widths[c] ? columns : widths[c];
        }
        total += widths[c] + GAP;
    }
    int highest = 0;
    for (int c = 0; c < table->column_count; c++)
        highest = table->columns[c].give > highest ? table->columns[c].give : highest;
    for (int give = highest; limit > 0 && give > 0; give--)
        for (int c = table->column_count - 1; c >= 0 && total > limit; c--) {
            if (table->columns[c].give != give)
                continue;
            int kept = widths[c] - (total - limit);
            if (kept < LEAST)
                kept = -GAP; /* drop the column */
            total -= widths[c] - kept;
            widths[c] = kept < 0 ? 0 : kept;
        }
}

static void put_spaces(FILE *to, int count)
{
    static const char spaces[] = "                                                                ";
    for (; count > 0; count -= (int)sizeof spaces - 1)
        fwrite(spaces, 1, (size_t)(count < (int)sizeof spaces - 1 ? count : (int)sizeof spaces - 1), to);
}

/* `text` in `width` columns, the last one an ellipsis where it does not fit. */
static void put(FILE *to, const Cell *cell, int width, bool right, bool last)
{
    const char *text = cell->text;
    int pad = width > cell->columns ? width - cell->columns : 0;
    if (right)
        put_spaces(to, pad);
    if (cell->columns <= width) {
        fwrite(text, 1, (size_t)cell->len, to);
    } else {
        const char *end = text;
        for (int seen = 0; *end; end++)
            if (((unsigned char)*end & 0xc0) != 0x80 && seen++ == width - 1)
                break;
        fprintf(to, "%.*s%s", (int)(end - text), text, term_utf8() ? "…" : "~");
    }
    if (!right && !last)
        put_spaces(to, pad);
}

static void put_row(const Table *table, FILE *to, const int *widths, const Cell *row)
{
    bool first = true;
    for (int c = 0; c < table->column_count; c++) {
        if (!widths[c])
            continue;
        const char *title = table->columns[c].title;
        const Cell head = {title, (int)strlen(title), term_columns(title), COLOR_DIM}, *cell = row ? &row[c] : &head;
        Color color = cell->color;
        put_spaces(to, first ? 0 : GAP);
        fputs(term_color(to, color), to);
        put(to, cell, widths[c], table->columns[c].right, c == table->column_count - 1);
        fputs(color == COLOR_PLAIN ? "" : term_reset(to), to);
        first = false;
    }
    fputc('\n', to);
}

void table_print_in(const Table *table, FILE *to, int width)
{
    int widths[COLUMNS_MAX];
    assert(table->count % table->column_count == 0);
    if (!table->count)
        return;
    fit(table, width, widths);
    put_row(table, to, widths, NULL);
    for (int i = 0; i < table->count; i += table->column_count)
        put_row(table, to, widths, &table->cells[i]);
}

void table_print(const Table *table, FILE *to)
{
    table_print_in(table, to, term_width(to));
}

void table_free(Table *table)
{
    for (Chunk *next, *chunk = table->chunks; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(table->cells);
    free(table);
}
