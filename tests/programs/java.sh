# does: OpenJDK's compiler, its collectors, threads, zip and direct buffers
# needs: java javac jar
# long: partly
# limit: 120

set -euo pipefail

cp "$TESTS_DIR/Churn.java" .
under javac -Xlint:all Churn.java
sha256sum ./*.class
for collector in ${WHOLE:+Serial Parallel} G1; do
    under java -Xmx256m -XX:+Use${collector}GC Churn
done
[ -z "$WHOLE" ] || under java -Xmx128m -Xint -XX:+UseSerialGC -XX:NativeMemoryTracking=summary Churn
under jar --create --file churn.jar --date=2020-01-01T00:00:00Z --main-class Churn ./*.class
sha256sum churn.jar
[ -z "$WHOLE" ] || under java -Xmx128m -jar churn.jar
