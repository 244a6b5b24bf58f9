# does: Chromium without a window: a page's text, its picture; in a window; in its sandbox, if it may
# needs: /usr/lib/chromium/chromium Xvfb xdotool import identify
# replaces: chromium
# limit: 400
# long: yes

set -euo pipefail

chromium=/usr/lib/chromium/chromium
sandbox=()
unprivileged unshare --user --pid --net --fork true 2>/dev/null || sandbox=(--no-sandbox)
flags=(--disable-gpu --no-first-run --disable-background-networking --disable-component-update
    --disable-dev-shm-usage --proxy-server=127.0.0.1:1 "--user-data-dir=$PWD/profile")

# shellcheck disable=SC2086 # in the sandbox: no word
for sandboxed in "${sandbox[*]}" --no-sandbox; do
    unprivileged under $chromium --headless $sandboxed "${flags[@]}" --dump-dom \
        "file://$TESTS_DIR/browser.html" 2>dom.log | grep -o '<p id="result">[^<]*'
    unprivileged under $chromium --headless $sandboxed "${flags[@]}" \
        --window-size=640,480 --screenshot="$PWD/page.png" "file://$TESTS_DIR/browser.html" 2>picture.log
    identify -format '%wx%h\n' page.png
    rm page.png
done
browser $chromium "${sandbox[@]}" "${flags[@]}"
