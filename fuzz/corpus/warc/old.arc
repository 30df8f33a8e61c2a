filedesc://old.arc 192.0.2.7 20080430142012 text/plain 69
1 0 Somebody
URL IP-address Archive-date Content-type Archive-length

http://old.example/page 192.0.2.7 20080430142012 text/html 116
HTTP/1.1 200 OK
Content-Type: text/html

<html><body><p>An old page, from before WARC was made.</p></body></html>
http://old.example/image 192.0.2.7 20080430142012 image/gif 25
HTTP/1.1 200 OK

GIF89a
