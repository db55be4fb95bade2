#!/usr/bin/env bash
# Posts the pages of review.sh on a pull request, one comment for each plan; a comment of an earlier run is replaced.
#
#   comment.sh <pages>               needs gh and jq; GH_TOKEN, REPOSITORY (owner/name), PULL_REQUEST (its number)
set -euo pipefail

pages=${1:?usage: comment.sh <pages>}
comments="repos/${REPOSITORY:?}/issues/${PULL_REQUEST:?}/comments"
existing=$(gh api --paginate "$comments?per_page=100" | jq -s 'add // [] | map(select(.user.type == "Bot"))')

for page in "$pages"/*.md; do
  [[ -e "$page" ]] || continue
  marker=$(head -n 1 "$page")
  id=$(jq -r --arg marker "$marker" 'map(select(.body | startswith($marker))) | last | .id // empty' <<<"$existing")
  if [[ -n "$id" ]]; then
    gh api --silent --method PATCH "repos/$REPOSITORY/issues/comments/$id" --field "body=@$page"
  else
    gh api --silent --method POST "$comments" --field "body=@$page"
  fi
done
