# Outlives the Node process that started it, to end what that process could not: its input ends when the process dies, however it dies.
# Lines: "process PID" (to kill), "ended PID" (forget it), "folder PATH" (to remove).
processes=' '
folders=''
while read -r what name; do
  case $what in
    process) processes="$processes$name " ;;
    ended) processes="${processes%% "$name" *} ${processes#* "$name" }" ;;
    folder) folders="$folders$name
" ;;
  esac
done
for process in $processes; do kill -KILL "$process" 2>/dev/null; done
printf '%s' "$folders" | while read -r folder; do
  # A killed server may still be closing its files: removing can need a second go.
  for attempt in 1 2 3 4 5; do rm -rf "$folder" 2>/dev/null && break; sleep 0.2; done
done
