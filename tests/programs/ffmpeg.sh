# does: makes video and sound, encodes, filters, decodes and joins them, with threads
# needs: ffmpeg ffprobe
# limit: 300
# long: yes

set -euo pipefail

run() {
    under ffmpeg -nostdin -hide_banner -loglevel error -y "$@"
}
picture=testsrc2=size=320x240:rate=25:duration=4
sound=sine=frequency=440:duration=4

# Encoded, and decoded again. Threads that share a bit rate give frames in the order that they end in:
# where they do, the quality is given.
for codec in 'mpeg4 -b:v 500k' 'libx264 -b:v 500k' 'libvpx -b:v 500k' ffv1 'mjpeg -q:v 3 -pix_fmt yuvj420p'; do
    video=${codec%% *}.mkv
    # shellcheck disable=SC2086 # the codec and its options
    run -f lavfi -i $picture -f lavfi -i $sound -threads 2 -fflags +bitexact -flags:v +bitexact \
        -flags:a +bitexact -pix_fmt yuv420p -c:a flac -c:v $codec "$video"
    run -i "$video" -map 0:v -f framemd5 - | sha256sum
    run -i "$video" -map 0:a -f md5 -
    under ffprobe -v error -show_entries stream=codec_name,width,height,nb_read_packets -count_packets \
        -of csv=p=0 "$video"
done
for codec in aac libmp3lame libopus libvorbis; do
    run -f lavfi -i $sound -fflags +bitexact -flags +bitexact -c:a $codec $codec.mka
    run -i $codec.mka -f md5 -
done
run -i ffv1.mkv -filter_complex \
    '[0:v]split=3[a][b][c];[a]scale=160:120,hue=h=90[a1];[b]crop=160:120,rotate=0.1[b1];[c]reverse,boxblur=4[c1];
     [a1][b1]hstack[d];[c1]fps=10,scale=320:240[e];[d]pad=320:240[f];[f][e]blend=all_mode=average,drawgrid=w=40' \
    -filter_complex_threads 2 -map_chapters -1 -f framemd5 - | sha256sum
printf "file '%s'\n" libx264.mkv libx264.mkv >list
run -f concat -safe 0 -i list -c copy -f framemd5 - | grep -vc '^#'
run -ss 1 -i libx264.mkv -frames:v 5 -f image2 frame%d.png
sha256sum frame*.png
run -f lavfi -i $picture -vf palettegen palette.png
run -f lavfi -i $picture -i palette.png -lavfi paletteuse -f md5 -c:v gif -f gif picture.gif
sha256sum picture.gif
