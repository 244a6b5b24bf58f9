# does: draws, filters and converts images, with threads
# needs: convert identify

set -euo pipefail
export MAGICK_THREAD_LIMIT=2
under convert -size 800x600 -seed 42 plasma:red-blue -define png:exclude-chunks=date,time base.png
under identify -format '%w %h %#\n' base.png
for filter in '-resize 333x251' '-blur 0x6' '-rotate 33' '-edge 2' '-colors 32' '-swirl 90' \
    '-charcoal 2' '-morphology Close Disk:3'; do
    # shellcheck disable=SC2086 # words on purpose
    under convert base.png $filter +repage rgb:- | sha256sum
done
for format in jpg tif bmp gif; do
    under convert base.png "again.$format"
    under identify -format '%m %w %h %#\n' "again.$format"
done
under convert base.png again.bmp -compose Multiply -composite \
    \( -clone 0 -flop \) -append rgb:- | sha256sum
