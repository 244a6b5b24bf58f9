# does: a scripted edit: substitutions, sorting, undo, registers, syntax
# needs: vim

set -euo pipefail
seq -f 'line %06.0f of the text' 60000 >text
cat >edit.vim <<'END'
set undolevels=1000 nocompatible
%s/\v(\d)(\d)$/\2\1/e
%s/0\+/\=len(submatch(0))/g
g/7 of/s/text/TEXT/
sort! n
undo
redo
g/99/t$
v/[13579]/d
1,1000normal Aend
let lines = map(getline(1, '$'), 'split(v:val)')
let words = {}
for line in lines | for word in line | let words[word] = get(words, word, 0) + 1 | endfor | endfor
call setline(1, string(sort(items(words)))[:5000])
earlier 2
later 2
syntax on
set filetype=c foldmethod=indent
write! result
quitall!
END
under vim -N -u NONE -i NONE -n -es -S edit.vim text </dev/null >/dev/null
wc -l <result
sha256sum <result
