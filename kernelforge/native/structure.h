/* What a graph looks like, whatever its buffers hold.

The structure of a graph is what `kernelforge.structure` says: each node with its operation and attribute, one met again
by its number, buffers by theirs.  Here it is two rows, of numbers and of objects. */

#ifndef KF_STRUCTURE_H
#define KF_STRUCTURE_H

#include "records.h"

/* A row that grows. */
struct kf_row {
    void *first;
    Py_ssize_t room; /* in bytes */
};

/* A graph as it is walked; all borrowed.  stack: nodes to be looked at; rows: where the pointers lead to. */
struct kf_graph {
    Py_ssize_t words, objects, buffers, nodes, height;
    uint64_t hash;
    uint64_t *word;
    PyObject **object, **buffer;
    kf_node **node, **stack;
    struct kf_row rows[5];
};

/* What is walked.  KF_ELSEWHERE: also nodes on several devices, and those on none that are computed, wherever that was;
   KF_HISTORY: also how computed nodes were computed, and gradients, which ask for it. */
enum kf_extent { KF_PLAIN = 0, KF_ELSEWHERE = 1, KF_HISTORY = 2 };

/* Walks what nodes are computed from, for whoever lets go of it; NULL where the graph is too large, or another matter. */
struct kf_graph *kf_walk(kf_node *const *roots, Py_ssize_t count, int extent);

/* The same of graphs with gradients and without, each walked no further than it takes. */
struct kf_graph *kf_walk_as_needed(kf_node *const *roots, Py_ssize_t count, int extent);

/* Whether every element of a node visibly has one value, that nothing has to be computed for. */
bool kf_is_known_value(const kf_node *node);

/* Whether a node has to be computed. */
bool kf_is_work(const kf_node *node);

/* The node a gradient is taken of, borrowed; NULL where a node is none. */
kf_node *kf_differentiated(const kf_node *node);

enum { KF_WALK = 16 }; /* bits behind the number of a walk in what nodes keep of the last that met them */

/* Has all that has to be computed for a node, and what gradients among it are taken of, keep the number of a walk, which it
   gives; 0 where that is too much. */
uint64_t kf_mark_work(kf_node *root);

/* Lets go of a graph, or of NULL. */
void kf_leave(struct kf_graph *graph);

#endif
