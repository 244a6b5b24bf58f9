# does: Firefox without a window: a page's picture; in a window
# needs: firefox-esr Xvfb xdotool import identify
# replaces: firefox-esr
# limit: 400
# long: yes

set -euo pipefail

mkdir profile
cat >profile/user.js <<'END'
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "127.0.0.1");
user_pref("network.proxy.http_port", 1);
user_pref("network.proxy.ssl", "127.0.0.1");
user_pref("network.proxy.ssl_port", 1);
user_pref("toolkit.telemetry.enabled", false);
END
[ "$(id -u)" -ne 0 ] || chown -R nobody profile
export MOZ_CRASHREPORTER_DISABLE=1

unprivileged under firefox-esr --headless --no-remote --profile profile --window-size 640,480 \
    --screenshot "$PWD/page.png" "file://$TESTS_DIR/browser.html" 2>picture.log
identify -format '%wx%h\n' page.png
browser firefox-esr --no-remote --profile "$PWD/profile"
