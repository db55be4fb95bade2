#!/usr/bin/env bash
# Reviews the restore plans that a change touches: checks them, dry-runs them, and writes one Markdown page for each.
#
#   review.sh <base> [folder]        for instance: review.sh origin/main plans
#
# Needs only git and `plan`, so it works in any CI. A plan whose base (*.base.yaml) changed is reviewed with it.
# Environment:
#   PLAN      the command; default plan
#   DRY_RUN   yes (default) or no, where there are no credentials to read backups and targets with
#   DOCUMENTS what a page tells of documents, at most what the plan allows: none, ids (default), masked or whole
#   FORMAT    how faults are written to stdout: text (default) or github, which annotates their lines
#   PAGES     folder for the pages; default restore-plan-review
# Exits with the first code that was not 0, after all plans were reviewed.
set -euo pipefail

base=${1:?usage: review.sh <base> [folder]}
folder=${2:-plans}
read -ra plan <<<"${PLAN:-plan}"
pages=${PAGES:-restore-plan-review}
result=0

# Fails here, by name, when the base was not fetched; the comparison below could not.
git merge-base "$base" HEAD >/dev/null
yaml=(":(glob)$folder/**/*.yaml" ":(glob)$folder/**/*.yml")
bases=()
plans=()
sort_out() {
  local file
  while IFS= read -r -d '' file; do
    case "$file" in *.base.yaml | *.base.yml) bases+=("$file") ;; *) plans+=("$file") ;; esac
  done
}
sort_out < <(git diff --name-only -z --diff-filter=d "$base"...HEAD -- "${yaml[@]}")
if ((${#bases[@]} > 0)); then
  # Which plans build on a base is not known without reading them all, so all are reviewed.
  bases=() plans=()
  sort_out < <(git ls-files -z -- "${yaml[@]}")
fi
if ((${#bases[@]} + ${#plans[@]} == 0)); then
  echo "No restore plan below $folder was changed."
  exit 0
fi

"${plan[@]}" validate --format "${FORMAT:-text}" -- "${bases[@]}" "${plans[@]}" || result=$?

# Text that came from a plan or a tool, as a block of code that it cannot end.
as_code() { printf '\n'; sed 's/^/    /' "$1"; printf '\n'; }

mkdir -p "$pages"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
number=0
for file in "${plans[@]}"; do
  number=$((number + 1))
  page="$pages/$number.md"
  # The comment on the pull request is found again by this line.
  printf '<!-- restore-plan %s -->\n' "$(printf '%s' "$file" | git hash-object --stdin)" >"$page"
  if ! "${plan[@]}" validate -- "$file" >"$scratch/faults"; then
    { echo "### A restore plan has faults"; as_code "$scratch/faults"; } >>"$page"
    continue
  fi
  if [[ "${DRY_RUN:-yes}" != yes ]]; then
    "${plan[@]}" explain -- "$file" >"$scratch/prose"
    { echo "### What a restore plan would do"; as_code "$scratch/prose"; } >>"$page"
    continue
  fi
  code=0
  "${plan[@]}" dry-run --quiet --report-documents "${DOCUMENTS:-ids}" --report "$scratch/report.md" -- "$file" >/dev/null 2>"$scratch/errors" || code=$?
  if [[ -s "$scratch/report.md" ]]; then cat "$scratch/report.md" >>"$page"; fi
  if ((code != 0)); then
    cat "$scratch/errors" >&2
    { echo "### The dry-run ended with exit code $code"; as_code "$scratch/errors"; } >>"$page"
    ((result == 0)) && result=$code
  fi
  rm -f "$scratch/report.md"
done
exit "$result"
