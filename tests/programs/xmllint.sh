# does: parses, reformats, validates and queries XML
# needs: xmllint

set -euo pipefail
awk 'BEGIN {
    print "<!DOCTYPE shop [<!ELEMENT shop (item*)><!ELEMENT item (name, note*)>"
    print "<!ELEMENT name (#PCDATA)><!ELEMENT note (#PCDATA)><!ATTLIST item id ID #REQUIRED>]>"
    print "<shop>"
    for (i = 0; i < 20000; i++) {
        printf "<item id=\"i%d\"><name>thing %d</name>", i, i * 7919 % 1009
        for (j = 0; j < i % 5; j++) printf "<note>note &lt;%d&gt; &#233;</note>", j
        print "</item>"
    }
    print "</shop>"
}' >shop.xml
under xmllint --format shop.xml | sha256sum
under xmllint --valid --noout shop.xml
under xmllint --c14n shop.xml | sha256sum
under xmllint --xpath 'count(//item[count(note) = 3][contains(name, "7")])' shop.xml
under xmllint --xpath '//item[position() mod 3001 = 0]/name/text()' shop.xml
under xmllint --stream --noout shop.xml
under xmllint --push --noout --recover <(sed '5000s/<name>/<nam>/' shop.xml) 2>&1 | sha256sum
sed '5000s/<name>.*<.name>//' shop.xml >invalid.xml
under xmllint --valid --noout invalid.xml 2>&1 || echo "status $?"
