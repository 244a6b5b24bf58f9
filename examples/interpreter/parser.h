/* parser.h - a script as a tree of nodes, which are objects too: a function keeps what it is made of.
 *
 *     script      statements, a line each
 *     statement   name = e    e[e] = e    e    del name    return    return e
 *                 if e ... end    if e ... else ... end    while e ... end    def name(name, ...) ... end
 *     e           or    and    not    == != < <= > >=    + -    * /    - e    e[e]    e(e, ...)
 *                 name    12    1.5    "text"    [e, ...]    {e: e, ...}    (e)
 */
#ifndef INTERPRETER_PARSER_H
#define INTERPRETER_PARSER_H

#include "failure.h"
#include "value.h"

enum node_kind {
    /* Statements. */
    NODE_EXPRESSION, /* left */
    NODE_ASSIGN,     /* to left, a NAME or INDEX, right */
    NODE_DELETE,     /* left, a NAME */
    NODE_RETURN,     /* left, or NULL */
    NODE_IF,         /* left is the condition; then right, else otherwise */
    NODE_WHILE,      /* left is the condition; right */
    NODE_DEFINE,     /* text is the name, left the parameters, right the statements */

    /* Expressions. */
    NODE_NAME,  /* text */
    NODE_INT,   /* text */
    NODE_FLOAT, /* text */
    NODE_STR,   /* text */
    NODE_LIST,  /* left are the items */
    NODE_DICT,  /* left are the keys, each before its value */
    NODE_INDEX, /* right, of left */
    NODE_CALL,  /* left is called, right are the arguments */
    NODE_NOT,   /* left */
    NODE_OR,    /* this and what follows: left and right */
    NODE_AND,
    NODE_EQUAL,
    NODE_UNEQUAL,
    NODE_LESS,
    NODE_LESS_EQUAL,
    NODE_GREATER,
    NODE_GREATER_EQUAL,
    NODE_ADD,
    NODE_SUBTRACT, /* left may be NULL: from 0 */
    NODE_MULTIPLY,
    NODE_DIVIDE,
};

struct node {
    struct node *left, *right, *otherwise;
    struct node *next; /* of the statements, items, arguments, … that it is one of */
    struct str *text;
    enum node_kind kind;
    int line;
};

/* Before parse. False: no memory. */
bool parser_begin(void);

/* The script's first statement into `tree`: NULL if there is none. After a failure `tree` may hold what
 * came before it. */
bool parse(const char *text, struct node **tree, struct failure *failure);

#endif
