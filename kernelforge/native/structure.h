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

/* What is walked: graphs without gradients, in which nothing is computed that is on no device; all graphs; all, and how
   computed nodes were computed. */
enum kf_extent { KF_PLAIN, KF_ALL, KF_HISTORY };

/* Walks what nodes are computed from, for whoever lets go of it; NULL where the graph is too large, or another matter. */
struct kf_graph *kf_walk(kf_node *const *roots, Py_ssize_t count, enum kf_extent extent);

/* Lets go of a graph, or of NULL. */
void kf_leave(struct kf_graph *graph);

#endif
