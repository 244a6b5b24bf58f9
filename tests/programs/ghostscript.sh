# does: renders PostScript, makes PDF of it and renders that
# needs: gs

set -euo pipefail
cat >page.ps <<'END'
%!PS
/n 0 def
1 1 6 {
    /page exch def
    /Helvetica findfont 14 scalefont setfont
    0 1 120 {
        /i exch def
        newpath 300 400 i 2 mul page 20 mul add 0 360 arc
        i 120 div page 6 div 0.5 setrgbcolor stroke
        50 i 6 mul 20 add moveto (line ) show i 20 string cvs show
    } for
    0 1 20000 { /d 10 dict def d exch (text) put /n n d length add def } for
    showpage
} for
n =
END
under gs -q -dNOPAUSE -dBATCH -dSAFER -sDEVICE=ppmraw -r60 -sOutputFile=page%d.ppm page.ps
sha256sum page*.ppm
under gs -q -dNOPAUSE -dBATCH -dSAFER -sDEVICE=pdfwrite -sOutputFile=page.pdf page.ps
under gs -q -dNOPAUSE -dBATCH -dSAFER -sDEVICE=pgmraw -r40 -dTextAlphaBits=4 \
    -sOutputFile=- page.pdf | sha256sum
under gs -q -dNOPAUSE -dBATCH -dSAFER -sDEVICE=txtwrite -sOutputFile=- page.pdf | sha256sum
