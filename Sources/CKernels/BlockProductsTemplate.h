// Included once a vector width by BlockProducts.c, which defines VARIANT, TARGET, WIDTH (floats a register),
// WIDEST_CHUNK, TILE_COLUMNS and TILE_VECTORS, and gets them back undefined.

#define vector VARIANT(vector)
typedef float vector __attribute__((vector_size(4 * WIDTH), aligned(4)));

// Y[r][chunk] (+)= sum over k of a[r][k] x[k][chunk]: `tile_rows` rows and `chunk` vectors in registers.
#define product_tile VARIANT(product_tile)
INLINE TARGET void product_tile(const int tile_rows, const int chunk, const float *a, size_t stride,
                                size_t columns, const float *x, size_t block, int accumulates, float *y) {
  enum { most_rows = 12, most_vectors = WIDEST_CHUNK / WIDTH };
  const int vectors = chunk / WIDTH;
  vector sums[most_rows][most_vectors];
  for (int r = 0; r < tile_rows; r++)
    for (int v = 0; v < vectors; v++)
      sums[r][v] = accumulates ? *(const vector *)(y + r * block + v * WIDTH) : (vector){0};
  for (size_t k = 0; k < columns; k++) {
    vector values[most_vectors];
    for (int v = 0; v < vectors; v++) values[v] = *(const vector *)(x + k * block + v * WIDTH);
    for (int r = 0; r < tile_rows; r++) {
      const float factor = a[r * stride + k];
      for (int v = 0; v < vectors; v++) sums[r][v] += factor * values[v];
    }
  }
  for (int r = 0; r < tile_rows; r++)
    for (int v = 0; v < vectors; v++) *(vector *)(y + r * block + v * WIDTH) = sums[r][v];
}

// Tall tiles while there are rows for them; what is left goes row by row.
#define product_chunk VARIANT(product_chunk)
INLINE TARGET void product_chunk(const int tile_rows, const int chunk, const float *a, size_t stride, size_t rows,
                                 size_t columns, const float *x, size_t block, int accumulates, float *y) {
  size_t row = 0;
  for (; row + tile_rows <= rows; row += tile_rows)
    product_tile(tile_rows, chunk, a + row * stride, stride, columns, x, block, accumulates, y + row * block);
  for (; row + 4 <= rows; row += 4)
    product_tile(4, chunk, a + row * stride, stride, columns, x, block, accumulates, y + row * block);
  for (; row < rows; row++)
    product_tile(1, chunk, a + row * stride, stride, columns, x, block, accumulates, y + row * block);
}

#define product VARIANT(product)
TARGET static void product(const float *a, size_t stride, size_t rows, size_t columns, const float *x,
                           size_t block, int accumulates, float *y) {
  for (size_t column = 0; column < columns; column += product_columns) {
    const size_t count = columns - column < product_columns ? columns - column : product_columns;
    const float *part = a + column;
    const int adds = accumulates || column > 0;
    for (size_t first = 0; first < block;) {
      const size_t rest = block - first;
      const float *values = x + column * block + first;
#if WIDTH == 16
      // As many sums as there are registers for: 24 of 32.
      if (rest >= 64) {
        product_chunk(6, 64, part, stride, rows, count, values, block, adds, y + first);
        first += 64;
      } else if (rest >= 48) {
        product_chunk(8, 48, part, stride, rows, count, values, block, adds, y + first);
        first += 48;
      } else if (rest >= 32) {
        product_chunk(12, 32, part, stride, rows, count, values, block, adds, y + first);
        first += 32;
      } else {
        product_chunk(12, 16, part, stride, rows, count, values, block, adds, y + first);
        first += 16;
      }
#else
      (void)rest;
      product_chunk(6, 16, part, stride, rows, count, values, block, adds, y + first);
      first += 16;
#endif
    }
  }
}

// z[j][tile] += sum over i of y[i][j] a[i][tile] for TILE_VECTORS rows j, from a dense copy of the tile's columns.
#define transposed_tile VARIANT(transposed_tile)
INLINE TARGET void transposed_tile(const float *dense, size_t rows, const float *y, size_t block, float *z,
                                   size_t z_stride) {
  enum { vectors = TILE_COLUMNS / WIDTH };
  vector sums[TILE_VECTORS][vectors];
  for (int j = 0; j < TILE_VECTORS; j++)
    for (int v = 0; v < vectors; v++) sums[j][v] = *(const vector *)(z + j * z_stride + v * WIDTH);
  for (size_t i = 0; i < rows; i++) {
    vector values[vectors];
    for (int v = 0; v < vectors; v++) values[v] = *(const vector *)(dense + i * TILE_COLUMNS + v * WIDTH);
    for (int j = 0; j < TILE_VECTORS; j++) {
      const float factor = y[i * block + j];
      for (int v = 0; v < vectors; v++) sums[j][v] += factor * values[v];
    }
  }
  for (int j = 0; j < TILE_VECTORS; j++)
    for (int v = 0; v < vectors; v++) *(vector *)(z + j * z_stride + v * WIDTH) = sums[j][v];
}

// The same for the last columns, through a full tile of its own.
#define transposed_edge VARIANT(transposed_edge)
TARGET static void transposed_edge(const float *dense, size_t rows, size_t width, const float *y, size_t block,
                                   float *z, size_t z_stride) {
  float tile[TILE_VECTORS * TILE_COLUMNS] = {0};
  for (int j = 0; j < TILE_VECTORS; j++) memcpy(tile + j * TILE_COLUMNS, z + j * z_stride, width * sizeof(float));
  transposed_tile(dense, rows, y, block, tile, TILE_COLUMNS);
  for (int j = 0; j < TILE_VECTORS; j++) memcpy(z + j * z_stride, tile + j * TILE_COLUMNS, width * sizeof(float));
}

#define add_transposed_product VARIANT(add_transposed_product)
TARGET static void add_transposed_product(const float *a, size_t stride, size_t rows, size_t columns,
                                          const float *y, size_t block, float *z, size_t z_stride) {
  // Rows a power of two apart share few cache sets; side by side they are all held until every vector has used them.
  float dense[transposed_rows * TILE_COLUMNS];
  for (size_t row = 0; row < rows; row += transposed_rows) {
    const size_t count = rows - row < transposed_rows ? rows - row : transposed_rows;
    const float *coefficients = y + row * block;
    for (size_t column = 0; column < columns; column += TILE_COLUMNS) {
      const size_t width = columns - column < TILE_COLUMNS ? columns - column : TILE_COLUMNS;
      const float *source = a + row * stride + column;
      if (width == TILE_COLUMNS) {
        for (size_t i = 0; i < count; i++)
          for (int v = 0; v < TILE_COLUMNS; v += WIDTH) {
            // The next tile's lines: no prefetcher of the processor's follows a walk down a column.
            __builtin_prefetch(source + i * stride + TILE_COLUMNS + v);
            *(vector *)(dense + i * TILE_COLUMNS + v) = *(const vector *)(source + i * stride + v);
          }
        for (size_t j = 0; j < block; j += TILE_VECTORS)
          transposed_tile(dense, count, coefficients + j, block, z + j * z_stride + column, z_stride);
      } else {
        memset(dense, 0, sizeof dense);
        for (size_t i = 0; i < count; i++)
          memcpy(dense + i * TILE_COLUMNS, source + i * stride, width * sizeof(float));
        for (size_t j = 0; j < block; j += TILE_VECTORS)
          transposed_edge(dense, count, width, coefficients + j, block, z + j * z_stride + column, z_stride);
      }
    }
  }
}

#undef vector
#undef product_tile
#undef product_chunk
#undef product
#undef transposed_tile
#undef transposed_edge
#undef add_transposed_product
#undef VARIANT
#undef TARGET
#undef WIDTH
#undef WIDEST_CHUNK
#undef TILE_COLUMNS
#undef TILE_VECTORS
