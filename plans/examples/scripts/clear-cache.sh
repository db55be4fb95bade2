#!/bin/sh
# Follow-up of partner-artworks.yaml: reads the restored ids, one JSON object per line, and says what it would clear.
set -eu
while IFS= read -r line; do
  printf 'would clear %s\n' "$line"
done
