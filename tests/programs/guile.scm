;; What is live is checked; what is not keeps the collector busy.

(use-modules (ice-9 threads) (ice-9 regex) (ice-9 popen) (ice-9 rdelim) (ice-9 binary-ports)
             (rnrs bytevectors) (srfi srfi-1) (srfi srfi-9) (system foreign))

(define (say what . figures)
  (format #t "~a ~s~%" what figures))

(define table (make-hash-table))
(do ((n 0 (+ n 1))) ((= n 60000))
  (hash-set! table (modulo (* n 7919) 10007) (make-string (modulo n 300) #\x))
  (when (zero? (modulo n 3)) (hash-remove! table (modulo n 10007))))
(say "table" (hash-count (const #t) table)
     (hash-fold (lambda (key value sum) (+ sum (* key (string-length value)))) 0 table))

(define (tree depth)
  (if (zero? depth) '() (cons (tree (- depth 1)) (tree (- depth 1)))))
(define (count tree)
  (if (null? tree) 1 (+ (count (car tree)) (count (cdr tree)))))
(say "trees" (fold (lambda (n sum) (+ sum (count (tree 12)))) 0 (iota 30)))

(define (factorial n) (if (zero? n) 1 (* n (factorial (- n 1)))))
(say "big integers" (modulo (factorial 3000) (- (expt 2 127) 1)) (string-length (number->string (factorial 3000))))

(say "threads"
     (apply + (par-map (lambda (n)
                         (let loop ((i 0) (sum 0))
                           (if (= i 20000) sum
                               (loop (+ i 1) (+ sum (vector-length (make-vector (modulo i 20) n)))))))
                       (iota 8))))

(define weak (make-weak-key-hash-table))
(do ((n 0 (+ n 1))) ((= n 10000)) (hashq-set! weak (list n) n))
(gc)
(say "weak" (< (hash-fold (lambda (key value sum) (+ sum 1)) 0 weak) 10000))
(define guardian (make-guardian))
(do ((n 0 (+ n 1))) ((= n 1000)) (guardian (make-bytevector (+ n 1) 1)))
(gc)
(say "guardian" (bytevector? (or (guardian) (begin (gc) (guardian)))))

(define text (string-join (map number->string (iota 5000)) " "))
(say "text" (string-length (regexp-substitute/global #f "([0-9])([0-9]+)" text 'pre 2 1 'post))
     (bytevector-length (string->utf32 text)) (string-hash (string-upcase text)))
(say "read" (length (with-input-from-string (string-append "(" text ")") read)))

(define malloc (pointer->procedure '* (dynamic-func "malloc" (dynamic-link)) (list size_t)))
(define free (pointer->procedure void (dynamic-func "free" (dynamic-link)) '(*)))
(do ((n 0 (+ n 1))) ((= n 5000))
  (let ((block (malloc (+ n 8))))
    (bytevector-u8-set! (pointer->bytevector block 8) 0 1)
    (free block)))
(say "foreign" (string-length (pointer->string (string->pointer text))))

(define pipe (open-pipe* OPEN_BOTH "/bin/cat"))
(display (string-take text 4000) pipe)
(newline pipe)
(force-output pipe)
(say "process" (string-length (read-line pipe)) (status:exit-val (begin (close-pipe pipe))))

(define (eval-sum n)
  (eval `(let loop ((i 0) (sum 0)) (if (= i ,n) sum (loop (+ i 1) (+ sum i)))) (current-module)))
(say "eval" (fold + 0 (map eval-sum (iota 200))))
(say "exceptions" (catch 'out-of-range (lambda () (vector-ref (vector 1 2) 9)) (lambda (key . _) key)))
