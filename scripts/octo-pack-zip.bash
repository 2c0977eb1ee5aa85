# shellcheck shell=bash
# shellcheck disable=SC2153 # what octo-pack sets
# The insides of a .zip or .nupkg, unpacked by unzip. Sourced by octo-pack-archive.bash.
#
# It promises: nothing is written outside of TREE, and no more than the bounds. The list at
# the archive's end is judged before unzip writes anything; what comes out of it is measured
# before it is on a disk; and what unzip wrote has to be what was listed.

# unpack_zip ARCHIVE
unpack_zip() {
  local link=$WORK/archive.zip
  ZIP=$1
  if [[ $(unzip -v 2>/dev/null) != 'UnZip 6'* ]]; then
    say 'unzip: not installed, and needed for a .zip'
    hint 'install unzip, that of Info-ZIP'
    exit "$EX_UNAVAILABLE"
  fi
  need_utilities cut diff od tail xargs
  # To unzip a name with a bracket in it is a pattern.
  ln -s -- "$(readlink -f -- "$1")" "$link"
  SIZE=$(stat -L -c %s -- "$link")
  find_list "$link"
  # Its last line says how it ended: what is wrong ends it early, and what writes to it.
  read_list "$link" >"$WORK/listed" || :
  heed_list
  measure "$link"
  (
    umask 022
    mkdir -- "$TREE"
    if [[ -s $WORK/names ]]; then
      write_each "$link"
    else
      # -V: a name may end in ;1, which is no version of it.
      unzip_says -o -V -d "$TREE" "$link" || unzip_failed $?
    fi
  )
  # What is nobody's to read is what a program without a thought of modes wrote.
  chmod -R u+rwX -- "$TREE"
  compare
  (cd -- "$TREE" && xargs -0 -r chmod -- 755) <"$WORK/directories-without"
  (cd -- "$TREE" && xargs -0 -r chmod -- 644) <"$WORK/files-without"
}

# bad_zip REASON [WHERE]
bad_zip() {
  fail "$EX_DATA" "$(shown "$ZIP"): ${2:+$2: }$1"
}

# unzip_says WORD…: its words go to a file; it never asks
unzip_says() {
  LC_ALL=C.UTF-8 asks unzip -qq "$@" </dev/null 2>"$WORK/unzip"
}

# unzip_failed STATUS: 1 is a warning; where it is that of backslashes alone, nothing is wrong
unzip_failed() {
  local line
  if (($1 == 1)) && ! grep -v 'appears to use backslashes' "$WORK/unzip" | grep -q .; then
    return 0
  fi
  while IFS= read -r line; do
    [[ -z ${line// /} ]] || say "unzip: $(printable "${line//"$WORK/"/}")"
  done <"$WORK/unzip"
  case $1 in
    50) fail "$EX_IO" "$(shown "$ZIP"): no room to unpack it" ;;
    *) bad_zip "unzip can't read it" ;;
  esac
}

printable() {
  printf '%s' "${1//[![:print:]]/?}"
}

# numbers FROM LENGTH FILE: so many of its bytes, as numbers
numbers() {
  { tail -c "+$(($1 + 1))" -- "$3" 2>/dev/null || :; } | head -c "$2" | od -An -v -tu1
}

# find_list FILE: sets LIST_AT, LIST_SIZE, LISTED: where the list of what is in it stands
find_list() {
  local from=$((SIZE > 66000 ? SIZE - 66000 : 0)) answer
  answer=$(numbers "$from" 66000 "$1" | end_of_zip "$from")
  if [[ $answer == wide\ * ]]; then
    answer=${answer#wide }
    # Its list can be anywhere, by its own word.
    ((answer + 56 <= SIZE)) || bad_zip 'its end is damaged'
    answer=$(numbers "$answer" 56 "$1" | end_of_zip64 "$answer")
  fi
  [[ $answer =~ ^[0-9]+\ [0-9]+\ [0-9]+$ ]] || bad_zip "$answer"
  read -r LIST_AT LIST_SIZE LISTED <<<"$answer"
}

# What both programs read numbers by.
readonly READ_NUMBERS='
  function number(at, bytes,    value) {
    while (bytes-- > 0) value = value * 256 + b[at + bytes]
    return value
  }'

# end_of_zip FROM <NUMBERS of the last bytes: prints LIST_AT LIST_SIZE LISTED, or `wide` and
# where that is said, or what is wrong
end_of_zip() {
  awk -v from="$1" "$READ_NUMBERS"'
    { for (i = 1; i <= NF; i++) b[n++] = $i }
    function is(at, third, fourth) {
      return b[at] == 80 && b[at + 1] == 75 && b[at + 2] == third && b[at + 3] == fourth
    }
    END {
      # Another program may take the last one, or the one that fits: they have to be one.
      for (at = n - 22; at >= 0 && !is(at, 5, 6); at--) { }
      if (at < 0) { print "is cut short"; exit }
      if (at + 22 + number(at + 20, 2) != n) { print "something stands behind its end"; exit }
      if (number(at + 4, 2) || number(at + 6, 2)) { print "one of several parts"; exit }
      if (at >= 20 && is(at - 20, 6, 7)) {
        printf "wide %.0f\n", number(at - 12, 8)
        exit
      }
      if (number(at + 16, 4) + number(at + 12, 4) != from + at) {
        print "something stands before it, or it is damaged"
        exit
      }
      printf "%.0f %.0f %.0f\n", number(at + 16, 4), number(at + 12, 4), number(at + 10, 2)
    }'
}

# end_of_zip64 AT <NUMBERS: the same of a large one
end_of_zip64() {
  awk -v from="$1" "$READ_NUMBERS"'
    { for (i = 1; i <= NF; i++) b[n++] = $i }
    END {
      if (b[0] != 80 || b[1] != 75 || b[2] != 6 || b[3] != 6) print "its end is damaged"
      else if (number(16, 4) || number(20, 4)) print "one of several parts"
      else if (number(48, 8) + number(40, 8) != from) print "something stands before it"
      else printf "%.0f %.0f %.0f\n", number(48, 8), number(40, 8), number(32, 8)
    }'
}

# read_list FILE: a line for each that is listed: `KIND SIZE MODE PATH`, its kind being f, d or
# l; `name` for one that unzip can't make; `total - - BYTES`; for what
# is wrong, `wrong REASON`, a tab, NAME
read_list() {
  local bytes=${OCTO_MAX_UNPACKED:-10737418240} entries=${OCTO_MAX_ENTRIES:-200000}
  numbers "$LIST_AT" "$LIST_SIZE" "$1" |
    awk -v listed="$LISTED" -v list_at="$LIST_AT" -v most_bytes="$bytes" \
      -v most_entries="$entries" "$READ_NUMBERS$READ_LIST"
}

# Bytes are kept for one entry at a time: a list may have many megabytes. Of the entry at hand
# packed, size, place and unicode are what its list says.
# shellcheck disable=SC2016 # it is of awk
readonly READ_LIST='
  BEGIN {
    for (i = 1; i < 256; i++) character[i] = sprintf("%c", i)
    need = 46
  }
  {
    for (i = 1; i <= NF; i++) {
      b[have++] = $i
      if (have < need) continue
      if (need == 46) {
        if (number(0, 4) != 33639248) wrong("its list is damaged", "")
        need = 46 + number(28, 2) + number(30, 2) + number(32, 2)
        if (have < need) continue
      }
      entry()
      have = 0
      need = 46
    }
  }
  END {
    if (failed) exit
    if (have || count != listed) wrong("its list is cut short or damaged", "")
    printf "total - - %.0f\n", total
  }

  function wrong(reason, name) {
    gsub(/[^ -~]/, "?", name)
    print "wrong " reason "\t" name
    failed = 1
    exit
  }

  function entry(    flags, mode, kind, name, path, bits) {
    count_one()
    flags = number(8, 2)
    name = text(46, number(28, 2))
    read_extra(46 + number(28, 2), number(30, 2))
    if (flags % 2 || int(flags / 64) % 2) wrong("is encrypted", name)
    if (number(10, 2) != 0 && number(10, 2) != 8) {
      wrong("compressed by another method than deflate", name)
    }
    count_bytes(name)
    name = name_of(name, int(flags / 2048) % 2)
    path = plain(name)
    mode = is_of_unix() ? number(40, 2) : 0
    if (int(mode / 1024) % 4) wrong("a setuid or setgid bit", name)
    kind = kind_of(int(mode / 4096), name ~ /\/$/, name)
    if (kind == "d" && size) wrong("a directory with bytes", name)
    if (path == "") return
    add(path, kind, name)
    bits = sprintf("%o", is_of_unix() ? mode % 512 : 0)
    printf "%s %.0f %s %s\n", kind, size, bits, path
  }

  function is_of_unix() {
    return b[5] == 3 || b[5] == 19
  }

  # Those that only paths name count, too.
  function count_one() {
    count++
    if (count + implied > most_entries) wrong("more than " most_entries " entries", "")
  }

  function count_bytes(name) {
    if (number(34, 2)) wrong("in another part of the archive", name)
    if (place + 30 + packed > list_at) wrong("its place is damaged", name)
    spent += 30 + number(28, 2) + packed
    if (spent > list_at) wrong("members that share their bytes", name)
    total += size
    if (total > most_bytes) wrong("more than " most_bytes " bytes", name)
  }

  # Sizes and places of 64 bits, and the name in UTF-8, stand behind the name.
  function read_extra(here, bytes,    end, id, at) {
    packed = number(20, 4); size = number(24, 4); place = number(42, 4); unicode = ""
    for (end = here + bytes; here + 4 <= end; ) {
      id = number(here, 2)
      at = here + 4
      here = at + number(here + 2, 2)
      if (here > end) wrong("its list is damaged", "")
      if (id == 28789 && here > at + 5) unicode = text(at + 5, here - at - 5)
      if (id != 1) continue
      if (size == 4294967295) { size = number(at, 8); at += 8 }
      if (packed == 4294967295) { packed = number(at, 8); at += 8 }
      if (place == 4294967295) { place = number(at, 8); at += 8 }
      if (at > here) wrong("its list is damaged", "")
    }
  }

  function text(at, bytes,    value, end) {
    for (end = at + bytes; at < end; at++) {
      if (b[at] < 32 || b[at] == 127) wrong("a control character in its name", value)
      value = value character[b[at]]
    }
    return value
  }

  # name_of NAME: in UTF-8, with slashes
  function name_of(name, is_utf8) {
    if (unicode != "") {
      if (name !~ /[^ -~]/ && name != unicode) wrong("has two names", name)
      name = unicode
    }
    if (name ~ /[^ -~]/ && !is_of_unix()) {
      if (unicode == "" && !is_utf8) {
        wrong("a name in a character set of DOS: make the archive with names in UTF-8", name)
      }
      print "name"
    }
    if (b[5] == 0 && index(name, "\\")) {
      if (index(name, "/")) wrong("slashes and backslashes in its name", name)
      gsub(/\\/, "/", name)
    }
    return name
  }

  # plain NAME: without empty steps and dots
  function plain(name,    steps, n, i, path) {
    if (name == "") wrong("an empty name", "")
    if (name ~ /^\// || name ~ /^[A-Za-z]:/) wrong("an absolute name", name)
    n = split(name, steps, "/")
    for (i = 1; i <= n; i++) {
      if (steps[i] == "..") wrong("leads out of the archive", name)
      if (length(steps[i]) > 255) wrong("a name of more than 255 bytes", name)
      if (steps[i] == "" || steps[i] == ".") continue
      path = path (path == "" ? "" : "/") steps[i]
    }
    if (length(path) > 3000) wrong("a path of more than 3000 bytes", name)
    return path
  }

  function kind_of(type, is_directory, name) {
    if (is_directory && (type == 4 || type == 0)) return "d"
    if (is_directory || type == 4) wrong("a directory by its name or its mode alone", name)
    if (type == 10) return "l"
    if (type != 0 && type != 8) wrong("neither file, directory nor link", name)
    return "f"
  }

  # add PATH KIND: nothing twice, and nothing below what is no directory
  function add(path, kind, name,    i, above) {
    if (path in kinds && (kind != "d" || kinds[path] != "implied")) wrong("is there twice", name)
    if (path in kinds) implied--
    kinds[path] = kind
    for (i = length(path) - 1; i > 1; i--) {
      if (substr(path, i, 1) != "/") continue
      above = substr(path, 1, i - 1)
      if (above in kinds) {
        if (kinds[above] !~ /^[di]/) wrong("is below a file or a link", name)
        return
      }
      kinds[above] = "implied"
      implied++
      print "d 0 755 " above
    }
  }'

# heed_list: sets TOTAL; makes of WORK/listed what find will print, and lists of files and
# directories without a mode
heed_list() {
  local last
  last=$(tail -n 1 "$WORK/listed")
  if [[ $last == wrong\ * ]]; then
    last=${last#wrong }
    bad_zip "${last%%$'\t'*}" "${last#*$'\t'}"
  fi
  [[ $last == 'total - - '* ]] || fail "$EX_IO" "$(shown "$ZIP"): its list can't be read"
  ((LISTED > 0)) || bad_zip 'nothing in it'
  TOTAL=${last##* }
  # unzip takes these for names of DOS, whatever the archive says.
  sed -n '/^name$/p' "$WORK/listed" >"$WORK/names"
  sed -n 's/^f [0-9]* 0 //p' "$WORK/listed" | tr '\n' '\0' >"$WORK/files-without"
  sed -n 's/^d [0-9]* 0 //p' "$WORK/listed" | tr '\n' '\0' >"$WORK/directories-without"
  sed -n 's/^\([fdl] [0-9]*\) [0-7]* /\1 /p' "$WORK/listed" | sort -u >"$WORK/expected"
}

# measure FILE: no more comes out of it than it says: nothing is on a disk yet
measure() {
  local size
  : >"$WORK/code"
  size=$( (unzip_says -p "$1" || printf '%s' $? >"$WORK/code") | head -c "$((TOTAL + 1))" | wc -c)
  ((size <= TOTAL)) || bad_zip 'there is more in it than it says'
  [[ ! -s $WORK/code ]] || unzip_failed "$(<"$WORK/code")"
}

# write_each FILE: as unzip would, but for names: it only gives the bytes of all, in the list's
# order. That is a program a file, and slow.
write_each() {
  local line rest kind size mode place
  unzip_says -p "$1" | while IFS= read -r line <&3; do
    rest=${line#* }
    kind=${line%% *} size=${rest%% *} place=$TREE/${line#* * * }
    rest=${rest#* }
    mode=${rest%% *}
    case $kind in
      d) mkdir -p -- "$place" ;;
      f | l) write_one "$kind" "$size" "$place" ;;
      *) continue ;;
    esac
    [[ $kind == l || $mode == 0 || $kind$mode == f644 ]] || chmod -- "$mode" "$place"
    [[ $kind != d ]] || chmod -- u+rwx "$place"
  done 3<"$WORK/listed"
}

# write_one KIND SIZE PATH <BYTES of this and of those behind it
write_one() {
  local target
  [[ -d ${3%/*} ]] || mkdir -p -- "${3%/*}"
  if [[ $1 == f ]]; then
    head -c "$2" >"$3"
  else
    target=$(head -c "$2" | tr -d '\0')
    ln -s -- "$target" "$3"
  fi
}

# compare: what was written is what was listed
compare() {
  local other
  (cd -- "$TREE" && find . -mindepth 1 \( -type d -printf 'd 0 %P\n' \) -o -printf '%y %s %P\n') |
    sort >"$WORK/found"
  other=$(diff -- "$WORK/expected" "$WORK/found" | grep '^[<>]' | head -n 1) || :
  [[ -z $other ]] || bad_zip 'unzip makes something else of it than it lists' \
    "$(shown "$(cut -d ' ' -f 4- <<<"$other")")"
}
