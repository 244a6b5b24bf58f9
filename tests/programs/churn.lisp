;; What is live is checked; what is not keeps the collector busy.

(defun say (what &rest figures)
  (format t "~a ~{~s~^ ~}~%" what figures)
  (finish-output))

(defun tree (depth)
  (if (zerop depth) nil (cons (tree (1- depth)) (tree (1- depth)))))

(defun size (tree)
  (if (null tree) 1 (+ (size (car tree)) (size (cdr tree)))))

(defun churn (seed)
  (let ((table (make-hash-table)) (n seed))
    (dotimes (i 50000)
      (setf n (mod (+ (* n 7919) 13) 100003))
      (setf (gethash (mod n 3001) table) (make-string (mod n 500) :initial-element #\x))
      (when (zerop (mod i 3)) (remhash (mod n 1000) table)))
    (loop for key being the hash-keys of table using (hash-value text) sum (* key (length text)))))

(defun churn-in-threads ()
  (mapcar #'sb-thread:join-thread
          (loop for n below 4 collect (let ((n n)) (sb-thread:make-thread (lambda () (churn n)))))))

(defun many-threads ()
  (loop repeat 50 sum
    (sb-thread:join-thread (sb-thread:make-thread (lambda () (length (make-array 1000)))))))

(defun foreign ()
  (loop for n from 1 to 3000 sum
    (let ((block (sb-alien:make-alien (sb-alien:unsigned 8) n)))
      (setf (sb-alien:deref block (1- n)) (mod n 256))
      (prog1 (sb-alien:deref block (1- n)) (sb-alien:free-alien block)))))

(defun texts ()
  (loop for n from 1 to 500 sum
    (length (sb-alien:alien-funcall
             (sb-alien:extern-alien "strdup" (function sb-alien:c-string sb-alien:c-string))
             (make-string n :initial-element #\ö)))))

(defun finalized ()
  (let ((count 0))
    (dotimes (n 1000)
      (sb-ext:finalize (make-array 100) (lambda () (incf count)) :dont-save t))
    (sb-ext:gc :full t)
    (sb-ext:run-program "/bin/true" nil) ; finalizers may be run by a thread
    (<= 0 count 1000)))

(defun compiled ()
  (loop for n below 100 sum
    (funcall (compile nil `(lambda (x) (declare (fixnum x)) (+ (* x ,n) (length (list x x))))) n)))

(defun process ()
  (with-output-to-string (out)
    (with-input-from-string (in (format nil "~{~a~%~}" (loop for n below 1000 collect n)))
      (sb-ext:run-program "/usr/bin/sum" '() :input in :output out))))

(defun main ()
  (say "trees" (loop repeat 30 sum (size (tree 14))))
  (say "churn" (churn 1))
  (say "threads" (churn-in-threads) (many-threads))
  (say "foreign" (foreign) (texts))
  (say "finalized" (finalized))
  (say "compiled" (compiled))
  (say "big integers" (mod (expt 7 20000) (1- (expt 2 89))) (integer-length (expt 3 50000)))
  (say "process" (process))
  (sb-ext:gc :full t)
  (say "error" (handler-case (error "told") (error (e) (princ-to-string e)))))

(main)
