// Goroutines on many threads allocate with C's malloc and Go's own allocator.
package main

/*
#include <stdlib.h>
#include <string.h>

struct node {
	struct node *next;
	char *text;
};

static struct node *push(struct node *list, const char *text)
{
	struct node *node = malloc(sizeof *node);
	node->next = list;
	node->text = strdup(text);
	return node;
}

static size_t release(struct node *list)
{
	size_t length = 0;
	while (list) {
		struct node *next = list->next;
		length += strlen(list->text);
		free(list->text);
		free(list);
		list = next;
	}
	return length;
}

extern int compareGo(void *, void *);

static int compare(const void *a, const void *b)
{
	return compareGo((void *)a, (void *)b);
}

static void sort(int *numbers, size_t count)
{
	qsort(numbers, count, sizeof *numbers, compare);
}
*/
import "C"

import (
	"compress/gzip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"os/user"
	"runtime"
	"sort"
	"sync"
	"unsafe"
)

//export compareGo
func compareGo(a, b unsafe.Pointer) C.int {
	return *(*C.int)(a) - *(*C.int)(b)
}

// each calls work with 0 to count - 1, in a goroutine each, and adds up.
func each(count int, work func(n int) int) int {
	var group sync.WaitGroup
	results := make([]int, count)
	for n := 0; n < count; n++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			if n%8 == 0 {
				runtime.LockOSThread() // and the thread ends with it
			}
			results[n] = work(n)
		}(n)
	}
	group.Wait()
	sum := 0
	for _, result := range results {
		sum += result
	}
	return sum
}

func lists(n int) int {
	var list *C.struct_node
	for i := 0; i < 500; i++ {
		text := C.CString(fmt.Sprint("text ", n, i))
		list = C.push(list, text)
		C.free(unsafe.Pointer(text))
	}
	return int(C.release(list))
}

// Blocks are freed by another thread than asked for them.
func handed() int {
	blocks := make(chan unsafe.Pointer, 100)
	go func() {
		each(8, func(n int) int {
			for i := 1; i <= 2000; i++ {
				block := C.malloc(C.size_t(i))
				C.memset(block, C.int(i%100), C.size_t(i))
				blocks <- block
			}
			return 0
		})
		close(blocks)
	}()
	return each(4, func(int) int {
		sum := 0
		for block := range blocks {
			sum += int(*(*byte)(block))
			C.free(block)
		}
		return sum
	})
}

func sorted() bool {
	const count = 5000
	numbers := (*[count]C.int)(C.calloc(count, 4))
	defer C.free(unsafe.Pointer(numbers))
	for i := range numbers {
		numbers[i] = C.int(i * 7919 % 10007)
	}
	C.sort(&numbers[0], count)
	return sort.SliceIsSorted(numbers[:], func(i, j int) bool { return numbers[i] < numbers[j] })
}

func collected(n int) int {
	live := map[int][]byte{}
	for i := 0; i < 20000; i++ {
		live[i*7919%1009] = make([]byte, i%2000)
	}
	text, _ := json.Marshal(live)
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	writer.Write(text)
	writer.Close()
	reader, _ := gzip.NewReader(&packed)
	again, _ := io.ReadAll(reader)
	sum := sha256.Sum256(again)
	return int(sum[0]) + len(live)
}

func served() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(connection, connection)
				connection.Close()
			}()
		}
	}()
	sum := each(50, func(n int) int {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			panic(err)
		}
		go func() {
			connection.Write(make([]byte, n*1000))
			connection.(*net.TCPConn).CloseWrite()
		}()
		answer, _ := io.ReadAll(connection)
		connection.Close()
		return len(answer)
	})
	listener.Close()
	return sum
}

func main() {
	fmt.Println("lists", each(64, lists))
	fmt.Println("handed on", handed())
	fmt.Println("called back", sorted())
	fmt.Println("collected", each(8, collected))
	fmt.Println("served", served())
	_, err := user.LookupId("0") // getpwuid_r
	addresses, _ := net.LookupHost("localhost") // getaddrinfo, if asked for
	fmt.Println("libc", err == nil, len(addresses) > 0)
	fmt.Println("processes", each(10, func(n int) int {
		out, _ := exec.Command("/bin/echo", fmt.Sprint(n)).Output()
		return len(out)
	}))
}
